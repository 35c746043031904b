with source as (
    select * from {{ source('silver', 'shopify_orders') }}
),

renamed as (
    select
        -- keys
        order_id,
        customer_id,
        store_id,

        -- states
        order_status,
        fulfillment_status,
        payment_status,
        order_status = 'cancelled' as is_cancelled,

        -- amounts
        currency,
        cast(subtotal as decimal(18, 2)) as subtotal,
        cast(total_discount as decimal(18, 2)) as total_discount,
        cast(tax as decimal(18, 2)) as tax,
        cast(shipping as decimal(18, 2)) as shipping,
        cast(total_price as decimal(18, 2)) as total_price,
        cast(item_count as int) as item_count,

        -- times
        created_at,
        updated_at,
        fulfilled_at,
        cast(created_at as date) as order_date,

        -- provenance
        _batch
    from source
    where {{ limit_data_in_dev('created_at') }}
)

select * from renamed

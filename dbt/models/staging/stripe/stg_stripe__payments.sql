with source as (
    select * from {{ source('silver', 'stripe_payments') }}
),

renamed as (
    select
        -- keys
        payment_id,
        order_id,
        customer_id,

        -- states
        status as payment_status,
        method as payment_method,

        -- amounts
        currency,
        {{ cents_to_dollars('amount') }} as amount,
        {{ cents_to_dollars('coalesce(amount_refunded, 0)') }} as amount_refunded,

        -- times
        created_at,
        updated_at
    from source
    where {{ limit_data_in_dev('created_at') }}
)

select * from renamed

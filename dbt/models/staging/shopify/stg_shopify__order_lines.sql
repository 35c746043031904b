with source as (
    select * from {{ source('silver', 'shopify_order_lines') }}
),

renamed as (
    select
        -- keys
        order_id,
        cast(line_number as int) as line_number,
        product_id,

        -- amounts
        cast(quantity as int) as quantity,
        cast(sales_value as decimal(18, 2)) as sales_value,
        cast(coalesce(retail_disc, 0) as decimal(18, 2)) as retail_discount,
        cast(coalesce(coupon_disc, 0) as decimal(18, 2)) as coupon_discount,
        cast(coalesce(coupon_match_disc, 0) as decimal(18, 2)) as coupon_match_discount,

        -- provenance
        _batch
    from source
)

select * from renamed

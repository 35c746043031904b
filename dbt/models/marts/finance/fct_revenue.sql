{{
    config(
        materialized='incremental',
        incremental_strategy='replace_days',
        replace_by='revenue_date'
    )
}}

-- The whole table, always. On an increment the strategy compares it with what is there and replaces the days that
-- differ, whatever made them differ: an order, a deletion, a product filed elsewhere.
with order_items as (
    select * from {{ ref('fct_order_items') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

counted_items as (
    select
        order_items.*,
        products.department
    from order_items
    inner join products
        on order_items.product_key = products.product_key
    where not order_items.is_cancelled
),

final as (
    select
        order_date as revenue_date,
        department,
        count(distinct order_id) as total_orders,
        count(*) as total_items,
        sum(quantity) as total_quantity,
        cast(sum(sales_value) as decimal(18, 2)) as revenue
    from counted_items
    group by
        order_date,
        department
)

select * from final

-- What an order says it costs is what its lines add up to, and it has as many as it says.
with orders as (
    select * from {{ ref('fct_orders') }}
),

items_by_order as (
    select
        order_id,
        count(*) as items,
        sum(sales_value) as sales_value
    from {{ ref('fct_order_items') }}
    group by order_id
)

select
    order_id,
    orders.total_price,
    items_by_order.sales_value,
    orders.item_count,
    items_by_order.items
from orders
full outer join items_by_order using (order_id)
where orders.total_price is null
    or orders.total_price <> coalesce(items_by_order.sales_value, 0)
    or orders.item_count <> coalesce(items_by_order.items, 0)

-- An order is paid what it costs. Payments and orders arrive by different roads, so a difference is news, not an error.
{{ config(severity='warn') }}

with orders as (
    select
        order_id,
        total_price
    from {{ ref('fct_orders') }}
),

payments_by_order as (
    select
        order_id,
        sum(amount) as amount
    from {{ ref('stg_stripe__payments') }}
    where payment_status in ('succeeded', 'refunded')
    group by order_id
)

select
    order_id,
    orders.total_price,
    payments_by_order.amount
from payments_by_order
left join orders using (order_id)
where orders.order_id is null
    or orders.total_price <> payments_by_order.amount

-- Customers are counted from silver at each build, orders arrive in increments: both must tell the same story.
with orders_by_customer as (
    select
        customer_key,
        count(*) as total_orders,
        sum(total_price) as total_order_value
    from {{ ref('fct_orders') }}
    group by customer_key
),

customers as (
    select
        customer_key,
        total_orders,
        total_order_value
    from {{ ref('dim_customers') }}
)

select
    customer_key,
    orders_by_customer.total_orders as orders_in_facts,
    customers.total_orders as orders_in_dimension
from orders_by_customer
full outer join customers using (customer_key)
where customers.customer_key is null
    or coalesce(orders_by_customer.total_orders, 0) <> customers.total_orders
    or coalesce(orders_by_customer.total_order_value, 0) <> customers.total_order_value

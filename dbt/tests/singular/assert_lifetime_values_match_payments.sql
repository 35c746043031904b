-- The lifetime values of all customers add up to the money that was taken and not given back.
with customers as (
    select coalesce(sum(lifetime_value), 0) as lifetime_value
    from {{ ref('dim_customers') }}
),

payments as (
    select coalesce(sum(amount - amount_refunded), 0) as amount
    from {{ ref('stg_stripe__payments') }}
    where payment_status in ('succeeded', 'refunded')
        and customer_id is not null
)

select
    customers.lifetime_value,
    payments.amount
from customers
cross join payments
where customers.lifetime_value <> payments.amount

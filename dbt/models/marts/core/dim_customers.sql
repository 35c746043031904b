with customers as (
    select * from {{ ref('stg_stripe__customers') }}
),

payments as (
    select * from {{ ref('int_payments_pivoted_to_customer') }}
),

orders as (
    select * from {{ ref('stg_shopify__orders') }}
),

orders_by_customer as (
    select
        customer_id,
        count(*) as total_orders,
        count_if(is_cancelled) as cancelled_orders,
        sum(total_price) as total_order_value,
        min(created_at) as first_order_at,
        max(created_at) as last_order_at
    from orders
    where customer_id is not null
    group by customer_id
),

-- An order can arrive before the customer who placed it: such a customer is known by id alone until the profile comes.
known_customers as (
    select customer_id from customers
    union
    select customer_id from payments
    union
    select customer_id from orders_by_customer
),

joined as (
    select
        known_customers.customer_id,
        customers.customer_id is not null as has_profile,
        customers.customer_name,
        customers.email,
        customers.age_group,
        customers.income_group,
        customers.home_ownership,
        customers.marital_status,
        customers.household_size,
        customers.household_composition,
        customers.kids_count,
        customers.created_at as customer_created_at,
        coalesce(payments.total_payments, 0) as total_payments,
        coalesce(payments.successful_payments, 0) as successful_payments,
        coalesce(payments.refunded_payments, 0) as refunded_payments,
        cast(coalesce(payments.lifetime_value, 0) as decimal(18, 2)) as lifetime_value,
        payments.first_payment_at,
        payments.last_payment_at,
        coalesce(orders_by_customer.total_orders, 0) as total_orders,
        coalesce(orders_by_customer.cancelled_orders, 0) as cancelled_orders,
        cast(coalesce(orders_by_customer.total_order_value, 0) as decimal(18, 2)) as total_order_value,
        orders_by_customer.first_order_at,
        orders_by_customer.last_order_at
    from known_customers
    left join customers using (customer_id)
    left join payments using (customer_id)
    left join orders_by_customer using (customer_id)
),

final as (
    select
        {{ surrogate_key(['customer_id']) }} as customer_key,
        *,
        case
            when lifetime_value >= 1000 then 'high'
            when lifetime_value >= 100 then 'medium'
            else 'low'
        end as customer_tier
    from joined
)

select * from final

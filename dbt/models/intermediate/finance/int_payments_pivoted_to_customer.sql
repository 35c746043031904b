with payments as (
    select * from {{ ref('stg_stripe__payments') }}
),

payments_pivoted as (
    select
        customer_id,
        count(*) as total_payments,
        count_if(payment_status = 'succeeded') as successful_payments,
        count_if(payment_status = 'refunded') as refunded_payments,
        count_if(payment_status = 'failed') as failed_payments,
        count_if(payment_status = 'pending') as pending_payments,
        sum(if(payment_status in ('succeeded', 'refunded'), amount, 0)) as amount_paid,
        sum(if(payment_status in ('succeeded', 'refunded'), amount_refunded, 0)) as amount_refunded,
        min(created_at) as first_payment_at,
        max(created_at) as last_payment_at
    from payments
    where customer_id is not null
    group by customer_id
),

final as (
    select
        customer_id,
        total_payments,
        successful_payments,
        refunded_payments,
        failed_payments,
        pending_payments,
        cast(amount_paid as decimal(18, 2)) as amount_paid,
        cast(amount_refunded as decimal(18, 2)) as amount_refunded,
        cast(amount_paid - amount_refunded as decimal(18, 2)) as lifetime_value,
        first_payment_at,
        last_payment_at
    from payments_pivoted
)

select * from final

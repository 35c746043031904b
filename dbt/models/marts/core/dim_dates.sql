with orders as (
    select * from {{ ref('stg_shopify__orders') }}
),

bounds as (
    select
        trunc(min(order_date), 'year') as first_day,
        last_day(add_months(trunc(max(order_date), 'year'), 11)) as last_day
    from orders
),

days as (
    select explode(sequence(first_day, last_day, interval 1 day)) as date_day
    from bounds
),

final as (
    select
        date_day,
        year(date_day) as calendar_year,
        quarter(date_day) as quarter_of_year,
        month(date_day) as month_of_year,
        date_format(date_day, 'MMMM') as month_name,
        trunc(date_day, 'month') as month_start,
        weekofyear(date_day) as iso_week,
        trunc(date_day, 'week') as week_start,
        day(date_day) as day_of_month,
        weekday(date_day) + 1 as iso_weekday,
        date_format(date_day, 'EEEE') as weekday_name,
        weekday(date_day) >= 5 as is_weekend
    from days
)

select * from final

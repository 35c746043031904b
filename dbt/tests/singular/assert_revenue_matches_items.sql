-- Day by day, revenue is the sales value of the items that were not cancelled: none lost to a join, none counted twice.
with revenue_by_day as (
    select
        revenue_date as order_date,
        sum(revenue) as revenue,
        sum(total_items) as items
    from {{ ref('fct_revenue') }}
    group by revenue_date
),

items_by_day as (
    select
        order_date,
        sum(sales_value) as sales_value,
        count(*) as items
    from {{ ref('fct_order_items') }}
    where not is_cancelled
    group by order_date
)

select
    order_date,
    revenue_by_day.revenue,
    items_by_day.sales_value
from revenue_by_day
full outer join items_by_day using (order_date)
where not (revenue_by_day.revenue <=> items_by_day.sales_value)
    or not (revenue_by_day.items <=> items_by_day.items)

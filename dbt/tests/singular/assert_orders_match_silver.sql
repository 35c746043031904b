-- Every order of silver, cancelled ones too, is a row of the fact, to the cent.
with facts as (
    select
        count(*) as orders,
        coalesce(sum(total_price), 0) as total_price
    from {{ ref('fct_orders') }}
),

silver as (
    select
        count(*) as orders,
        coalesce(sum(total_price), 0) as total_price
    from {{ ref('stg_shopify__orders') }}
)

select
    facts.orders as orders_in_facts,
    silver.orders as orders_in_silver,
    facts.total_price as total_price_in_facts,
    silver.total_price as total_price_in_silver
from facts
cross join silver
where facts.orders <> silver.orders
    or facts.total_price <> silver.total_price

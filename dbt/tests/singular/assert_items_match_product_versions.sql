-- An item is filed under the version of its product that was in effect when it was sold, and under none but its own.
with items as (
    select * from {{ ref('fct_order_items') }}
),

versions as (
    select * from {{ ref('dim_products') }}
),

versions_in_effect as (
    select
        items.order_id,
        items.line_number,
        items.product_id,
        items.product_key,
        items.ordered_at,
        coalesce(versions.product_key, {{ unknown_key() }}) as product_key_in_effect
    from items
    left join versions
        on items.product_id = versions.product_id
        and items.ordered_at >= versions.effective_from
        and items.ordered_at < versions.effective_to
)

select *
from versions_in_effect
where product_key <> product_key_in_effect

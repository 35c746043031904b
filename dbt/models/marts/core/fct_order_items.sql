{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['order_id', 'line_number']
    )
}}

-- While the catalog is what it was, no order is touched but those that changed.
{%- set follows_catalog = is_incremental() and not is_unchanged('catalog_products') %}
{%- set looked_at = 'true' if follows_catalog else may_be_touched('shopify_orders') %}

with orders as (
    select * from {{ ref('stg_shopify__orders') }}
    {%- if is_incremental() %}
    where {{ looked_at }}
    {%- endif %}
),

order_lines as (
    select * from {{ ref('stg_shopify__order_lines') }}
    {%- if is_incremental() %}
    where {{ looked_at }}
    {%- endif %}
),

products as (
    select * from {{ ref('dim_products') }}
),

catalog_products as (
    select * from {{ ref('stg_catalog__products') }}
),

{% if is_incremental() -%}
existing as (
    select
        order_id,
        line_number,
        product_id,
        product_key,
        order_date,
        ordered_at
    from {{ this }}
),

{% if follows_catalog -%}
touched_products as (
    select product_id
    from catalog_products
    where {{ changed_since('catalog_products') }}
    {%- if batch_since('catalog_products') is not none %}

    union

    select product_id
    from {{ deleted_since('catalog_products') }}
    {%- endif %}
),

-- A product's history can change after its sale: lines that now belong to another version are written anew.
refiled_orders as (
    select existing.order_id
    from existing
    left semi join touched_products
        on existing.product_id = touched_products.product_id
    left join products
        on existing.product_id = products.product_id
        and existing.ordered_at >= products.effective_from
        and existing.ordered_at < products.effective_to
    where existing.product_key <> coalesce(products.product_key, {{ unknown_key() }})
),

{% endif -%}
touched_orders as (
    {{ touched_orders() | indent(4) }}
    {%- if follows_catalog %}

    union

    select order_id
    from refiled_orders
    {%- endif %}
),

existing_lines as (
    select
        existing.order_id,
        existing.line_number
    from existing
    left semi join touched_orders
        on existing.order_id = touched_orders.order_id
),

{% endif -%}

lines_to_load as (
    select order_lines.*
    from order_lines
    {%- if is_incremental() %}
    left semi join touched_orders
        on order_lines.order_id = touched_orders.order_id
    {%- endif %}
),

lines_of_orders as (
    select
        lines_to_load.*,
        orders.customer_id,
        orders.created_at as ordered_at,
        orders.order_date,
        orders.is_cancelled
    from lines_to_load
    inner join orders
        on lines_to_load.order_id = orders.order_id
),

items as (
    select
        -- keys
        lines_of_orders.order_id,
        lines_of_orders.line_number,
        {{ surrogate_key(['lines_of_orders.customer_id']) }} as customer_key,
        coalesce(products.product_key, {{ unknown_key() }}) as product_key,
        lines_of_orders.product_id,
        lines_of_orders.order_date,

        -- states
        lines_of_orders.is_cancelled,

        -- amounts
        lines_of_orders.quantity,
        lines_of_orders.sales_value,
        lines_of_orders.retail_discount,
        lines_of_orders.coupon_discount,
        lines_of_orders.coupon_match_discount,

        -- times
        lines_of_orders.ordered_at
    from lines_of_orders
    left join products
        on lines_of_orders.product_id = products.product_id
        and lines_of_orders.ordered_at >= products.effective_from
        and lines_of_orders.ordered_at < products.effective_to
),

final as (
    {% if is_incremental() -%}
    -- The lines of an order are a set: one that its order no longer has leaves the table.
    select
        *,
        customer_key is null as _is_deleted
    from items
    full outer join existing_lines using (order_id, line_number)
    {%- else -%}
    -- Files that each hold a span of days: an increment rewrites those of the recent days alone.
    select /*+ repartition_by_range(12, order_date) */ *
    from items
    {%- endif %}
)

select * from final

{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='order_id'
    )
}}

with orders as (
    select * from {{ ref('stg_shopify__orders') }}
    {%- if is_incremental() %}
    where {{ may_be_touched('shopify_orders') }}
    {%- endif %}
),

{% if is_incremental() -%}
existing as (
    select
        order_id,
        order_date
    from {{ this }}
),

touched_orders as (
    {{ touched_orders() | indent(4) }}
),

{% endif -%}

final as (
    select
        -- keys
        order_id,
        {{ surrogate_key(['customer_id']) }} as customer_key,
        customer_id,
        store_id,
        order_date,

        -- states
        order_status,
        fulfillment_status,
        payment_status,
        is_cancelled,

        -- amounts
        currency,
        subtotal,
        total_discount,
        tax,
        shipping,
        total_price,
        item_count,

        -- times
        created_at,
        updated_at,
        fulfilled_at
        {%- if is_incremental() %},

        -- a touched order that silver no longer holds leaves the table
        _batch is null as _is_deleted
        {%- endif %}
    from orders
    {%- if is_incremental() %}
    right join touched_orders using (order_id)
    {%- endif %}
)

select * from final

{% macro batch_since(table) -%}
    {{ return((var('since') or {}).get(table)) }}
{%- endmacro %}


{% macro has_window() -%}
    {{ return(var('from') is not none or var('to') is not none) }}
{%- endmacro %}


{% macro in_window(column_name) -%}
    {%- if has_window() -%}
        {{ column_name }} between date '{{ var('from') or '0001-01-01' }}' and date '{{ var('to') or '9999-12-31' }}'
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}


{% macro changed_since(table) -%}
    {%- set since = batch_since(table) -%}
    {{ '_batch > ' ~ since if since is not none else 'true' }}
{%- endmacro %}


{% macro is_unchanged(table) -%}
    {{ return(batch_since(table) is not none and table in var('unchanged')) }}
{%- endmacro %}


{% macro may_be_touched(table) -%}
    {{ 'true' if has_window() else changed_since(table) }}
{%- endmacro %}


{% macro deleted_since(table) -%}
    {%- set since = batch_since(table) -%}
    {%- if since is none -%}
        {{ exceptions.raise_compiler_error(
            "deleted_since('" ~ table ~ "') needs a batch to start from: pass it as the variable since." ~ table
            ~ ", or compare all the keys."
        ) }}
    {%- endif -%}
    (select * from {{ var('silver_schema') }}.{{ table }}__deleted where _batch > {{ since }})
{%- endmacro %}


{% macro touched_orders() -%}
    select order_id
    from orders
    where {{ changed_since('shopify_orders') }}
        or {{ in_window('order_date') }}

    union

    {% if batch_since('shopify_orders') is none -%}
    select order_id
    from existing
    {%- else -%}
    select order_id
    from {{ deleted_since('shopify_orders') }}

    union

    select order_id
    from existing
    where {{ in_window('order_date') }}
    {%- endif %}
{%- endmacro %}

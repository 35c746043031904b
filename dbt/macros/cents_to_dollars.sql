{% macro cents_to_dollars(column_name, precision=18, scale=2) -%}
    cast(cast({{ column_name }} as decimal(20, 0)) / cast(100 as decimal(3, 0)) as decimal({{ precision }}, {{ scale }}))
{%- endmacro %}

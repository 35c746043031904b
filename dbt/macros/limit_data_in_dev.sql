{% macro limit_data_in_dev(column_name, days=none) -%}
    {%- if target.name == 'dev' -%}
        {{ column_name }} >= date_sub(current_date(), {{ days if days is not none else var('dev_days') }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

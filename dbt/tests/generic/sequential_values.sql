{% test sequential_values(model, column_name, interval=1, datepart=none) %}

{%- set step -%}
    {%- if datepart is none -%}
        {{ column_name }} - previous_value
    {%- else -%}
        {{ datediff('previous_value', column_name, datepart) }}
    {%- endif -%}
{%- endset %}

with ordered_values as (
    select
        {{ column_name }},
        lag({{ column_name }}) over (order by {{ column_name }}) as previous_value
    from {{ model }}
)

select *
from ordered_values
where previous_value is not null
    and {{ step }} <> {{ interval }}

{% endtest %}

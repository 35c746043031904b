{#- Each part is written as `<length>:<value>`, a NULL as `-`: no two different lists of values give the same text. -#}
{% macro surrogate_key(columns) -%}
    md5(concat(
    {%- for column in columns %}
        coalesce(concat(char_length(cast({{ column }} as string)), ':', cast({{ column }} as string)), '-')
        {{- ',' if not loop.last }}
    {%- endfor %}
    ))
{%- endmacro %}


{% macro unknown_key() -%}
    md5('unknown')
{%- endmacro %}

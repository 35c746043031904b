{#-
    What dbt-spark lacks: a merge that also deletes and leaves equal rows alone, and the replacement of whole days.
    Both are one Delta commit. `get_merge_sql` is dispatched by dbt; the two macros named `dbt_spark_*` stand in
    for the adapter's own, which know a closed list of strategies, and hand everything else back to them.
-#}

{% macro spark__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set keys = [unique_key] if unique_key is string else unique_key -%}
    {%- set columns = columns_to_load(source, target) -%}
    {%- set deletes = '_is_deleted' in column_names(source) -%}
    merge into {{ target }} as existing
    using {{ source }} as incoming
    on
        {% for key in keys -%}
        existing.{{ key }} = incoming.{{ key }}
        {{- ' and ' if not loop.last }}
        {%- endfor %}
        {%- for predicate in incremental_predicates or [] %}
        and {{ predicate }}
        {%- endfor %}
    {% if deletes -%}
    when matched and incoming._is_deleted then delete
    {%- endif %}
    when matched and not (
        {%- for column in columns %}
        existing.{{ column }} <=> incoming.{{ column }}
        {{- ' and' if not loop.last }}
        {%- endfor %}
    ) then update set
        {%- for column in columns %}
        {{ column }} = incoming.{{ column }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    when not matched {{ 'and not incoming._is_deleted' if deletes }} then insert ({{ columns | join(', ') }})
    values (incoming.{{ columns | join(', incoming.') }})
{%- endmacro %}


{% macro get_replace_days_sql(source, target) -%}
    {%- set day = config.require('replace_by') -%}
    {%- set columns = columns_to_load(source, target) | join(', ') -%}
    {%- set differing -%}
        select {{ day }}
        from (
            select {{ columns }}, 1 as side from {{ source }}
            union all
            select {{ columns }}, -1 as side from {{ target }}
        )
        group by {{ columns }}
        having sum(side) <> 0 or {{ in_window(day) }}
    {%- endset -%}
    {%- set days = run_query('select distinct ' ~ day ~ ' from (' ~ differing ~ ') order by ' ~ day).columns[0].values() -%}
    {%- if days | length == 0 -%}
        select 'nothing to replace' as outcome
    {%- else -%}
        {%- set predicate -%}
            {{ day }} in (date '{{ days | join("', date '") }}')
        {%- endset -%}
        insert into {{ target }}
        replace where {{ predicate }}
        select {{ columns }}
        from {{ source }}
        where {{ predicate }}
    {%- endif -%}
{%- endmacro %}


{% macro column_names(relation) -%}
    {{ return(adapter.get_columns_in_relation(relation) | map(attribute='name') | map('lower') | list) }}
{%- endmacro %}


{% macro columns_to_load(source, target) -%}
    {%- set expected = column_names(source) | reject('equalto', '_is_deleted') | list -%}
    {%- set found = column_names(target) -%}
    {%- if expected | sort != found | sort -%}
        {{ exceptions.raise_compiler_error(
            "The columns of " ~ target ~ " are no longer those of its model. Expected: " ~ expected | sort | join(', ')
            ~ ". Found: " ~ found | sort | join(', ') ~ ". Build the model with --full-refresh."
        ) }}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{% macro dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format) -%}
    {%- if raw_strategy == 'replace_days' -%}
        {%- if file_format != 'delta' -%}
            {{ exceptions.raise_compiler_error(
                "The strategy replace_days needs file_format delta, found " ~ file_format ~ "."
            ) }}
        {%- endif -%}
        {{ return(raw_strategy) }}
    {%- endif -%}
    {{ return(dbt.dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format)) }}
{%- endmacro %}


{% macro dbt_spark_get_incremental_sql(strategy, source, target, existing, unique_key, incremental_predicates) -%}
    {%- if strategy == 'replace_days' -%}
        {{ get_replace_days_sql(source, target) }}
    {%- else -%}
        {{ dbt.dbt_spark_get_incremental_sql(strategy, source, target, existing, unique_key, incremental_predicates) }}
    {%- endif -%}
{%- endmacro %}

{% test no_overlap(model, key, starts_at, ends_at, allow_gaps=true) %}

with intervals as (
    select
        {{ key }},
        {{ starts_at }},
        {{ ends_at }},
        lead({{ starts_at }}) over (partition by {{ key }} order by {{ starts_at }}) as next_starts_at
    from {{ model }}
)

select *
from intervals
where {{ ends_at }} <= {{ starts_at }}
    or (next_starts_at is not null and coalesce({{ ends_at }} > next_starts_at, true))
    {%- if not allow_gaps %}
    or {{ ends_at }} < next_starts_at
    {%- endif %}

{% endtest %}

{% test recency(model, field, datepart, interval) %}

select max({{ field }}) as newest
from {{ model }}
having max({{ field }}) is null
    or max({{ field }}) < {{ dateadd(datepart, -1 * (interval | int), 'current_timestamp()') }}

{% endtest %}

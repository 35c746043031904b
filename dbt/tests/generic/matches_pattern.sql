{% test matches_pattern(model, column_name, pattern) %}

select {{ column_name }}
from {{ model }}
where {{ column_name }} is not null
    and not {{ column_name }} rlike '{{ pattern | replace("\\", "\\\\") }}'

{% endtest %}

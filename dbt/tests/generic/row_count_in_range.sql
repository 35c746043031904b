{% test row_count_in_range(model, min_count=1, max_count=none) %}

select count(*) as row_count
from {{ model }}
having count(*) < {{ min_count }}
    {%- if max_count is not none %}
    or count(*) > {{ max_count }}
    {%- endif %}

{% endtest %}

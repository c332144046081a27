{# The model has exactly one row. #}
{% test one_row(model) %}
select count(*) as row_count

from {{ model.render() }}

having count(*) <> 1
{% endtest %}

{#
  Ends a CTE so that PostgreSQL computes its expressions once for each row, instead of once for each
  use further down. `limit all` limits nothing and, unlike other fences, lets parallel workers do
  the computing.
#}
{% macro fence() -%}
    limit all
{%- endmacro %}


{# The text of a field of a JSON object where it is a string, NULL otherwise. #}
{% macro json_text(record, field) -%}
    case when jsonb_typeof({{ record }} -> '{{ field }}') = 'string' then {{ record }} ->> '{{ field }}' end
{%- endmacro %}

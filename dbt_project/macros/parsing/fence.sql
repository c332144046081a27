{#
  Ends a CTE so that PostgreSQL computes its expressions once for each row, instead of once for each
  use further down. `limit all` limits nothing and, unlike other fences, lets parallel workers do
  the computing.
#}
{% macro fence() -%}
    {{ 'limit all' if not is_distributed() }}
{%- endmacro %}


{#
  The same for a cluster, which would gather a CTE with a limit: the last column of its select list, of
  a number of its own. A function that returns rows is computed where it stands.
#}
{% macro fence_column(number) -%}
    {{ ", unnest('{1}'::int[]) as fence_" ~ number if is_distributed() }}
{%- endmacro %}


{# The text of a field of a JSON object where it is a string, NULL otherwise. #}
{% macro json_text(record, field) -%}
    case when jsonb_typeof({{ record }} -> '{{ field }}') = 'string' then {{ record }} ->> '{{ field }}' end
{%- endmacro %}

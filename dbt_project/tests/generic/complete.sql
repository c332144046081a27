{#
  Columns that are never NULL, all judged in one pass over the rows. Fails with the number of NULLs.
#}
{% test complete(model, columns) %}
{{ config(fail_calc='coalesce(sum(broken_rows), 0)') }}
{%- set expressions = [] -%}
{%- for column in columns -%}
    {%- do expressions.append(column ~ ' is not null') -%}
{%- endfor -%}
{{ broken_expressions(model, expressions) }}
{% endtest %}

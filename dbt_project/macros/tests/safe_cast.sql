{#
  Replaces dbt's own macro, which casts the cells of a unit test. PostgreSQL's catalogue calls every array type ARRAY, which no
  cast understands; the arrays in this project hold texts.
#}
{% macro postgres__safe_cast(field, type) -%}
    cast({{ field }} as {{ 'text[]' if type == 'ARRAY' else type }})
{%- endmacro %}

{# The condition that a row rests on a record above it. #}
{% macro unpublished(record_no) -%}
    {{ record_no }} > {{ function_name('published_record_no') }}()
{%- endmacro %}


{#
  Replaces `__unpublished__` in a test's `where` by that condition (dbt's documented way to put
  Jinja into one).
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = (config.get('where') or '') | replace('__unpublished__', unpublished('record_no')) -%}
    {%- if where -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

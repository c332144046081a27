{#
  Creates the functions that the staging models call, in the target's own staging schema, before
  anything is built.

  A hook and not dbt's `functions/`, because those come into being only when they are selected: `dbt
  run` or a build of one model in a new schema would miss them.
#}
{% macro create_functions() -%}
    {%- if execute and flags.WHICH in ('run', 'build', 'test') -%}
        {%- set schema = generate_schema_name('staging', none) | trim -%}
        {%- if not adapter.check_schema_exists(target.database, schema) -%}
            {%- do run_query('create schema ' ~ adapter.quote(schema)) -%}
        {%- endif -%}
        {{ create_decode_literal() }}
        {{ create_read_literal_fields() }}
        {{ create_read_passback_text() }}
        {{ create_percent_decode() }}
        {{ create_split_sourcedid() }}
        {{ create_published_record_no() }}
    {%- endif -%}
{%- endmacro %}


{#
  The qualified name of one of our functions in this target's staging schema. Commands that create
  nothing (`dbt show`) use production's while the target has none of its own.
#}
{% macro function_name(name) -%}
    {%- set schema = generate_schema_name('staging', none) | trim -%}
    {%- if execute and flags.WHICH in ('show', 'compile')
        and not adapter.check_schema_exists(target.database, schema) -%}
        {%- set schema = 'staging' -%}
    {%- endif -%}
    {{ adapter.quote(schema) }}.{{ name }}
{%- endmacro %}

{#
  Every incremental model carries `record_no`, the number PostgreSQL gave a raw record on arrival: for each row the newest
  record it rests on. What a model has not seen yet is therefore what lies above its own highest number, whatever was
  built, killed or refreshed before; a model needs no state but its own table.
#}

{# The highest record_no of this model as a literal, so that the planner knows how little is new; 0 on a full refresh. #}
{% macro last_record_no() -%}
    {%- if execute and is_incremental() -%}
        {{ return(run_query('select coalesce(max(record_no), 0) from ' ~ this).columns[0].values()[0]) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}


{#
  Replaces dbt's own macro: a model is rebuilt in full when asked to (--full-refresh), and also when what is published was
  made by other rules (`rules_version`) or with days of another time zone. load_receipts, the last model of a build, holds
  both for every load; without it there is nothing to go on from.
#}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') if config.get('full_refresh') is not none else flags.FULL_REFRESH -%}
    {{ return(asked or not published_as_now()) }}
{%- endmacro %}


{% macro published_as_now() -%}
    {%- if not execute -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set receipts = load_receipts_relation() -%}
    {%- if receipts is none -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set found = run_query(
        "select coalesce(bool_and(report_timezone = '" ~ report_timezone() ~ "' and rules_version = " ~ var('rules_version') ~ "), false) from " ~ receipts
    ) -%}
    {{ return(found.columns[0].values()[0]) }}
{%- endmacro %}


{# The ledger of what is published in this target, or none. Looked up by name: a ref would be a cycle. #}
{% macro load_receipts_relation() -%}
    {{ return(adapter.get_relation(target.database, generate_schema_name('marts', none), 'load_receipts')) }}
{%- endmacro %}


{#
  Lets a data test look at new rows only, so that its cost follows what is new: `__unpublished__` in a test's `where` stands for
  the records whose load has no receipt yet. Receipts are written last, after every test, so a failing test keeps failing until its
  cause is gone.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if where -%}
        {%- set where = where | replace('__unpublished__', unpublished('record_no')) -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}


{#
  The condition that a row rests on a record whose load has no receipt yet; every row, when everything is made anew. The number
  is written out, so that the planner knows how little is new.
#}
{% macro unpublished(record_no) -%}
    {%- if not execute or flags.FULL_REFRESH or not published_as_now() -%}
        true
    {%- else -%}
        {{ record_no }} > {{ run_query('select coalesce(max(record_no), 0) from ' ~ load_receipts_relation()).columns[0].values()[0] }}
    {%- endif -%}
{%- endmacro %}

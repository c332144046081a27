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


{# The last day this model holds as a literal, for the same reason; '-infinity' when it holds none. #}
{% macro last_known_day() -%}
    {%- if execute and is_incremental() -%}
        {{ return(run_query("select coalesce(max(activity_date), '-infinity')::text from " ~ this).columns[0].values()[0]) }}
    {%- endif -%}
    {{ return('-infinity') }}
{%- endmacro %}


{#
  True when everything is made anew from raw: when asked to (--full-refresh), and also when what is published was made by other
  rules (`rules_version`) or with days of another time zone. load_receipts, the last model of a build, holds both for
  every load; without it there is nothing to go on from.
#}
{% macro remaking() -%}
    {%- set asked = config.get('full_refresh') if config.get('full_refresh') is not none else flags.FULL_REFRESH -%}
    {{ return(asked or not published_as_now()) }}
{%- endmacro %}


{# Replaces dbt's own macro: a model made anew is computed as if its table were not there yet. #}
{% macro is_incremental() -%}
    {%- if not execute -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, this.table) -%}
    {{ return(relation is not none and relation.type == 'table' and model.config.materialized == 'incremental' and not remaking()) }}
{%- endmacro %}


{#
  Replaces dbt's own macro, which decides whether the table of a model made anew is exchanged. That is the fastest, but whoever reads the
  table would have to wait for the end of the build, and would lose privileges and views on it. So a mart (`kept_in_place` in
  its meta) gets other rows instead, as long as its columns and indexes are those of the model.
#}
{% macro should_full_refresh() -%}
    {%- if not execute or not remaking() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, this.table) -%}
    {%- if relation is none or not config.get('meta', {}).get('kept_in_place') -%}
        {{ return(true) }}
    {%- endif -%}
    {{ return(columns_of(relation) != columns_of_query(sql) or indexes_of(relation) != configured_indexes()) }}
{%- endmacro %}


{# The model's indexes as its configuration has them, and a table's as they are: texts like `unique user_id, activity_date`. #}
{% macro configured_indexes() -%}
    {%- set texts = [] -%}
    {%- for index in config.get('indexes', []) -%}
        {%- do texts.append(('unique ' if index.get('unique') else '') ~ index['columns'] | join(', ')) -%}
    {%- endfor -%}
    {{ return(texts | sort) }}
{%- endmacro %}


{% macro indexes_of(relation) -%}
    {%- set found = run_query(
        "select case when indexes.indisunique then 'unique ' else '' end || string_agg(attributes.attname, ', ' order by places.place)"
        ~ " from pg_catalog.pg_index as indexes"
        ~ " cross join unnest(indexes.indkey) with ordinality as places (attnum, place)"
        ~ " inner join pg_catalog.pg_attribute as attributes"
        ~ " on indexes.indrelid = attributes.attrelid and places.attnum = attributes.attnum"
        ~ " where indexes.indrelid = '" ~ relation ~ "'::regclass"
        ~ " group by indexes.indexrelid, indexes.indisunique"
    ) -%}
    {{ return(found.columns[0].values() | sort) }}
{%- endmacro %}


{# The columns a model's SQL gives: those of a temporary table made from none of its rows. #}
{% macro columns_of_query(sql) -%}
    {%- set probe = make_temp_relation(this, '__columns') -%}
    {%- do run_query(get_create_table_as_sql(true, probe, get_empty_subquery_sql(sql))) -%}
    {%- set columns = columns_of(probe) -%}
    {%- do run_query('drop table ' ~ probe) -%}
    {{ return(columns) }}
{%- endmacro %}


{# Names and types in any order. #}
{% macro columns_of(relation) -%}
    {%- set names = [] -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do names.append(column.name ~ ' ' ~ column.data_type) -%}
    {%- endfor -%}
    {{ return(names | sort) }}
{%- endmacro %}


{# A merge, or when everything is made anew, other rows for all there are. #}
{% macro postgres__get_incremental_merge_sql(arguments) -%}
    {{ return(replace_rows(arguments) if remaking() else default__get_incremental_merge_sql(arguments)) }}
{%- endmacro %}


{% macro postgres__get_incremental_append_sql(arguments) -%}
    {{ return(replace_rows(arguments) if remaking() else default__get_incremental_append_sql(arguments)) }}
{%- endmacro %}


{#
  Makes the published rows those of the temporary table. Rows that are the same in both stay where they are, with their places in
  the indexes: most are, and writing them again would take several times as long and leave as many dead ones behind. The unique
  index finds out whether the model keeps its own key; a model without a `unique_key` is written as a whole.
#}
{% macro replace_rows(arguments) -%}
    {%- set published, made = arguments['target_relation'], arguments['temp_relation'] -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | list -%}
    {%- set key = arguments['unique_key'] or [] -%}
    {%- set key = [key] if key is string else key -%}
    {%- set same_key, all_made, all_published = [], [], [] -%}
    {%- for column in key -%}
        {%- do same_key.append('made.' ~ column ~ ' = published.' ~ column) -%}
    {%- endfor -%}
    {%- for column in columns -%}
        {%- do all_made.append('made.' ~ column) -%}
        {%- do all_published.append('published.' ~ column) -%}
    {%- endfor -%}
    {%- if key %}
    create unique index on {{ made }} ({{ key | join(', ') }});
    analyze {{ made }};
    {%- endif %}
    delete from {{ published }} as published
    {%- if key %}
    where not exists (
        select 1
        from {{ made }} as made
        where {{ same_key | join(' and ') }}
            and ({{ all_made | join(', ') }}) is not distinct from ({{ all_published | join(', ') }})
    )
    {%- endif %};
    insert into {{ published }} ({{ columns | join(', ') }})
    select {{ columns | join(', ') }}
    from {{ made }} as made
    {%- if key %}
    where not exists (select 1 from {{ published }} as published where {{ same_key | join(' and ') }})
    {%- endif %}
{%- endmacro %}


{% macro published_as_now() -%}
    {%- if not execute -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set receipts = load_receipts_relation() -%}
    {%- if receipts is none -%}
        {{ return(false) }}
    {%- endif -%}
    {#- as JSON, so that receipts of an earlier version, which lack a column, are simply not as now -#}
    {%- set found = run_query(
        "select coalesce(bool_and(coalesce(receipt ->> 'report_timezone' = '" ~ report_timezone()
        ~ "' and receipt ->> 'rules_version' = '" ~ var('rules_version') ~ "', false)), false)"
        ~ " from " ~ receipts ~ " as receipts cross join lateral to_jsonb(receipts) as receipt"
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


{# After a table was made anew nothing is known about it, and the models that read it next would be planned blindly. #}
{% macro analyze_when_made_anew() -%}
    {%- if execute and model.config.materialized == 'incremental' and not is_incremental() -%}
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}

{#
  How the marts are kept.

  A mart has `full_refresh=false` and the incremental strategy `publish` or `replace`, so its table
  is never exchanged: readers don't wait, and privileges and other people's views stay. `publish`
  merges what the model computed; with `--full-refresh` the table ends up with exactly the rows
  computed, and rows that are the same are not touched. `replace` does that in every build, for
  marts that are computed as a whole.

  Each incremental model carries `record_no`, for each row the newest raw record it rests on. What a
  model has not seen yet lies above its own highest number, whatever was built, killed or rebuilt
  before: a model needs no state but its own table.
#}

{#
  Whether this build adds to the rows that are there. Use it in marts instead of is_incremental(),
  which is true in a rebuild, too.
#}
{% macro adds_to_itself() -%}
    {{ return(is_incremental() and not flags.FULL_REFRESH) }}
{%- endmacro %}


{#
  The highest record_no of this model, written out so that the planner knows how little is new; 0 in
  a rebuild.
#}
{% macro last_record_no() -%}
    {%- if execute and adds_to_itself() -%}
        {{ return(run_query('select coalesce(max(record_no), 0) from ' ~ this).columns[0].values()[0]) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}


{#
  The instant from which attempts have been fetched (`as_of` is the relation), written out for the
  same reason. What was left out because it may have begun earlier changes when that instant does.
#}
{% macro history_from(as_of) -%}
    {%- if execute -%}
        {%- set found = run_query("select coalesce(max(history_from), '-infinity')::text from " ~ as_of) -%}
        {{ return("timestamptz '" ~ found.columns[0].values()[0] ~ "'") }}
    {%- endif -%}
    {{ return("timestamptz '-infinity'") }}
{%- endmacro %}


{# The incremental strategy `publish`. #}
{% macro get_incremental_publish_sql(arguments) -%}
    {%- if flags.FULL_REFRESH -%}
        {{ return(get_incremental_replace_sql(arguments)) }}
    {%- endif -%}
    {{ return(get_incremental_merge_sql(dict(arguments, temp_relation=new_rows_of(arguments)))) }}
{%- endmacro %}


{#
  The incremental strategy `replace`. The unique index on the new rows finds a key that is there
  twice, and its twin on the published table makes `on conflict` skip the rows that stayed.
#}
{% macro get_incremental_replace_sql(arguments) -%}
    {%- set published, new = arguments['target_relation'], new_rows_of(arguments) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | list -%}
    {%- set new_columns = 'new.' ~ columns | join(', new.') -%}
    {%- set published_columns = 'published.' ~ columns | join(', published.') -%}
    {%- set key = arguments['unique_key'] or [] -%}
    {%- set key = [key] if key is string else key -%}
    {%- set delete -%}
        delete from {{ published }} as published
        {%- if key %}
        where not exists (
            select 1
            from {{ new }} as new
            where (new.{{ key | join(', new.') }}) = (published.{{ key | join(', published.') }})
                and ({{ new_columns }}) is not distinct from ({{ published_columns }})
        )
        {%- endif %}
    {%- endset -%}
    {%- set insert -%}
        insert into {{ published }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }}
        from {{ new }}
        {%- if key %}
        on conflict ({{ key | join(', ') }}) do nothing
        {%- endif %}
    {%- endset -%}
    {%- if not key -%}
        {{ return(one_by_one([delete, insert])) }}
    {%- endif -%}
    {%- set index = 'create unique index on ' ~ new ~ ' (' ~ key | join(', ') ~ ')' -%}
    {{ return(one_by_one([index, 'analyze ' ~ new, delete, insert])) }}
{%- endmacro %}


{#
  Before a rebuild: drop the marts whose columns or indexes are not those of their models, as after
  an upgrade, so that the build creates them, and the tables of models that are no more. Of the
  columns it goes by the contracts.
#}
{% macro drop_changed_marts() -%}
    {%- if execute and flags.FULL_REFRESH and flags.WHICH in ('run', 'build') -%}
        {%- for node in graph.nodes.values() if node.config.incremental_strategy in ('publish', 'replace') -%}
            {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
            {%- if relation is not none and not has_the_shape_of(relation, node) -%}
                {%- do log(relation ~ ' has other columns or indexes: it is created again.', info=true) -%}
                {%- do adapter.drop_relation(relation) -%}
            {%- endif -%}
        {%- endfor %}
        {%- set staging = generate_schema_name('staging', none) | trim %}
        drop table if exists {{ adapter.quote(staging) }}.int_learner_days
    {%- endif -%}
{%- endmacro %}


{#
  Whether a table has the indexes that its model is configured with and, where the model has a
  contract, its columns with their types.
#}
{% macro has_the_shape_of(relation, node) -%}
    {%- set columns, indexes = [], [] -%}
    {%- for column in node.columns.values() if column.data_type -%}
        {%- do columns.append("'" ~ column.name ~ " ' || '" ~ column.data_type ~ "'::regtype") -%}
    {%- endfor -%}
    {%- for index in node.config.indexes or [] -%}
        {%- do indexes.append("'" ~ ('unique ' if index.unique) ~ index['columns'] | join(', ') ~ "'") -%}
    {%- endfor -%}
    {%- set found -%}
        with columns as (

            select attname || ' ' || atttypid::regtype as definition
            from pg_catalog.pg_attribute
            where attrelid = '{{ relation }}'::regclass and attnum > 0 and not attisdropped

        ),

        indexes as (

            select
                case when indexes.indisunique then 'unique ' else '' end
                || string_agg(attributes.attname, ', ' order by places.place) as definition
            from pg_catalog.pg_index as indexes
            cross join unnest(indexes.indkey) with ordinality as places (attnum, place)
            inner join pg_catalog.pg_attribute as attributes
                on indexes.indrelid = attributes.attrelid and places.attnum = attributes.attnum
            where indexes.indrelid = '{{ relation }}'::regclass
            group by indexes.indexrelid, indexes.indisunique

        )

        select
            {%- if node.config.contract.enforced %}
            array(select definition from columns order by 1)
            = array(select unnest(array[{{ columns | join(', ') }}]::text[]) order by 1)
            and
            {%- endif %}
            array(select definition from indexes order by 1)
            = array(select unnest(array[{{ indexes | join(', ') }}]::text[]) order by 1)
    {%- endset -%}
    {{ return(run_query(found).columns[0].values()[0]) }}
{%- endmacro %}


{#
  The receipts of what is published in this target, or none. Looked up by name: a ref would be a
  cycle.
#}
{% macro load_receipts_relation() -%}
    {{ return(adapter.get_relation(target.database, generate_schema_name('marts', none) | trim, 'load_receipts')) }}
{%- endmacro %}


{#
  A table that was just filled has no statistics, or those of when it was empty, and the models that
  read it next would be planned blindly: one row expected, a nested loop over all of them.
#}
{% macro analyze_after_rebuild() -%}
    {%- if execute and model.config.materialized in ('incremental', 'table') -%}
        {%- set seems_empty = "select reltuples <= 0 from pg_catalog.pg_class where oid = '" ~ this ~ "'::regclass" -%}
        {%- if flags.FULL_REFRESH or run_query(seems_empty).columns[0].values()[0] -%}
            analyze {{ this }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

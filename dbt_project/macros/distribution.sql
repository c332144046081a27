{#
  A warehouse on several machines (setting WAREHOUSE_DISTRIBUTED=1): Citus keeps a model with
  `meta.distributed_by` in shards by that column, side by side with the others of its kind, and every
  other model whole on the coordinator. Everything that is particular to it is in this file; on one
  node each of these macros renders what stood there without it.

  Of what is in shards, everything that is joined, grouped or counted over learners goes by the column
  of the shards, or Citus would gather whole tables on the coordinator first.
#}

{# Whether the warehouse is a Citus cluster. #}
{% macro is_distributed() -%}
    {{ return(env_var('WAREHOUSE_DISTRIBUTED', '0') == '1') }}
{%- endmacro %}


{#
  The column of staged records that their attempts are joined by. The shards' column can't be NULL as a
  rejected record's user_id may be, so staging has one of its own there.
#}
{% macro learner_key() -%}
    {{ return('shard_key' if is_distributed() else 'user_id') }}
{%- endmacro %}


{# Columns of a key of staging; in shards a unique index holds their column, too. #}
{% macro staged_key(columns) -%}
    {{ return(columns + (['shard_key'] if is_distributed() else [])) }}
{%- endmacro %}


{#
  Makes a CTE over shards a result on the coordinator before it is joined with a table there; Citus
  would else send the whole table to every shard. `otherwise` is what stands there on one node.
#}
{% macro gathered(otherwise='') -%}
    {{ 'materialized' if is_distributed() else otherwise }}
{%- endmacro %}


{# Whether a table that is there is in shards; none where it isn't. #}
{% macro is_in_shards(table) -%}
    {%- set found = run_query(
        "select exists (select from pg_dist_partition where logicalrelid = there) from to_regclass('" ~ table
        ~ "') as there where there is not null"
    ) -%}
    {{ return(found.columns[0].values()[0] if found.rows) }}
{%- endmacro %}


{# Puts a table that is there into shards by a column, with the rows it has. #}
{% macro distribute(table, column) -%}
    {%- if is_in_shards(table) is false -%}
        {%- do run_query("select create_distributed_table('" ~ table ~ "', '" ~ column ~ "')") -%}
    {%- endif -%}
{%- endmacro %}


{# Before a build: the tables that stay, for a warehouse that was on one node. #}
{% macro distribute_what_stays() -%}
    {%- if execute and is_distributed() and flags.WHICH in ('run', 'build') -%}
        {%- for node in graph.nodes.values()
            if node.config.meta.distributed_by and (not flags.FULL_REFRESH or node.config.full_refresh is false) -%}
            {%- do distribute(node.relation_name, node.config.meta.distributed_by) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{# After a model: its table, where it has just been made; what publishing left is dropped. #}
{% macro distribute_model() -%}
    {%- set column = model.config.meta.distributed_by -%}
    {%- if execute and column and is_distributed() -%}
        {%- do run_query('drop table if exists ' ~ incoming(this)) -%}
        {%- do distribute(this, column) -%}
    {%- endif -%}
{%- endmacro %}


{# Where the new rows of a model in shards are gathered. #}
{% macro incoming(relation) -%}
    {{ return(relation.incorporate(path={'identifier': relation.identifier ~ '__incoming'}, type='table')) }}
{%- endmacro %}


{#
  What a strategy merges from: the temporary table that dbt filled, or on a cluster an ordinary one in
  the same shards as the model, because shards can't be merged with a temporary table.
#}
{% macro new_rows_of(arguments) -%}
    {%- set published, new = arguments['target_relation'], arguments['temp_relation'] -%}
    {%- if not is_distributed() or not is_in_shards(published) -%}
        {{ return(new) }}
    {%- endif -%}
    {%- set incoming = incoming(published) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set by = model.config.meta.distributed_by -%}
    {%- do run_query('create unlogged table ' ~ incoming ~ ' (like ' ~ published ~ ')') -%}
    {%- do run_query(
        "select create_distributed_table('" ~ incoming ~ "', '" ~ by ~ "', colocate_with => '" ~ published ~ "')"
    ) -%}
    {%- do run_query('insert into ' ~ incoming ~ ' (' ~ columns ~ ') select ' ~ columns ~ ' from ' ~ new) -%}
    {{ return(incoming) }}
{%- endmacro %}


{#
  Statements as dbt sends them, all in one; on a cluster, which takes one at a time, all but the last
  are sent here.
#}
{% macro one_by_one(statements) -%}
    {%- if not is_distributed() -%}
        {{ return(statements | join(';\n')) }}
    {%- endif -%}
    {%- for statement in statements[:-1] -%}
        {%- do run_query(statement) -%}
    {%- endfor -%}
    {{ return(statements[-1]) }}
{%- endmacro %}

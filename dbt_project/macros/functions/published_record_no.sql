{#
  published_record_no() -> bigint: the highest record_no of the loads that have a receipt, so of
  what earlier builds have published. Data tests look at the rows above it (`where:
  __unpublished__`), so that their cost follows what is new, and a failing one keeps failing until
  its cause is gone, for receipts are written last. 0 in a rebuild, and for `dbt test` by itself:
  every row is tested.
#}
{% macro create_published_record_no() -%}
    {%- set receipts = load_receipts_relation() -%}
    {%- set published = 0 -%}
    {%- if receipts is not none and not flags.FULL_REFRESH and flags.WHICH != 'test' -%}
        {%- set published = run_query('select coalesce(max(record_no), 0) from ' ~ receipts).columns[0].values()[0] -%}
    {%- endif %}
create or replace function {{ function_name('published_record_no') }}()
returns bigint
language sql
immutable parallel safe
as 'select {{ published }}::bigint';
{%- endmacro %}

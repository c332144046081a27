{#
  The condition that a load has no receipt yet. For tests that must not wait for the receipts: they
  are looked up by name, where a ref would let the test run only after they are written.
#}
{% macro without_receipt(load_id) -%}
    {%- set receipts = load_receipts_relation() if execute else none -%}
    {%- if receipts is none or flags.FULL_REFRESH or flags.WHICH == 'test' -%}
        true
    {%- else -%}
        {{ load_id }} not in (select receipts._dlt_load_id from {{ receipts }} as receipts)
    {%- endif -%}
{%- endmacro %}

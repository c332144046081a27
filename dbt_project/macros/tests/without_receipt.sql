{#
  The condition that a load has no receipt yet. For tests that must not wait for the receipts: they are looked up by name, where
  a ref would let the test run only after they are written.
#}
{% macro without_receipt(load_id) -%}
    {%- if not execute or flags.FULL_REFRESH or not published_as_now() -%}
        true
    {%- else -%}
        {{ load_id }} not in (select receipts._dlt_load_id from {{ load_receipts_relation() }} as receipts)
    {%- endif -%}
{%- endmacro %}

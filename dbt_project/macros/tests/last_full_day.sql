{#
  One row, one column `last_full_day`: the last calendar day, in the report's time zone, of which the warehouse has been told
  everything. It ends no later than the latest window, nor than the moment that window was asked for. NULL before the first load.
#}
{% macro last_full_day() -%}
    select {{ report_date('max(least(window_end, fetched_at))') }} - 1 as last_full_day

    from {{ ref('stg_grader__fetches') }}
{%- endmacro %}

{# The IANA zone in which calendar days are cut (setting REPORT_TIMEZONE). #}
{% macro report_timezone() -%}
    {{ return(env_var('REPORT_TIMEZONE', '') or 'Europe/Moscow') }}
{%- endmacro %}


{# The calendar day of an instant (timestamptz) in the report zone. #}
{% macro report_date(instant) -%}
    ({{ instant }} at time zone '{{ report_timezone() }}')::date
{%- endmacro %}

{# The IANA zone in which calendar days are cut (setting REPORT_TIMEZONE). #}
{% macro report_timezone() -%}
    {{ return(env_var('REPORT_TIMEZONE', '') or 'Europe/Moscow') }}
{%- endmacro %}


{# The calendar day of an instant (timestamptz) in the report zone. #}
{% macro report_date(instant) -%}
    ({{ instant }} at time zone '{{ report_timezone() }}')::date
{%- endmacro %}


{#
  The first day that a mart by day has to compute: the earliest one on which `facts` (a relation
  with activity_date and record_no) hold something new to this model. An attempt changes only its
  own day and later ones, so the days before stay as they are. The day after the last one when
  nothing is new; '-infinity' in a rebuild and for an empty mart: every day.
#}
{% macro first_changed_day(facts) -%}
    {%- if execute and adds_to_itself() -%}
        {%- set found = run_query(
            "select coalesce(least("
            ~ "(select min(activity_date) from " ~ facts ~ " where record_no > " ~ last_record_no() ~ "),"
            ~ " (select max(activity_date) + 1 from " ~ this ~ ")), '-infinity')::text"
        ) -%}
        {{ return(found.columns[0].values()[0]) }}
    {%- endif -%}
    {{ return('-infinity') }}
{%- endmacro %}


{#
  Every calendar day from the one found by first_changed_day to the last that a relation named
  `activity` has.
#}
{% macro days_from(first_day, activity) -%}
    select day::date as activity_date

    from generate_series(
        (
            select coalesce(nullif(date '{{ first_day }}', '-infinity'), min(activity_date))
            from {{ activity }}
        )::timestamp,
        (select max(activity_date) from {{ activity }})::timestamp,
        interval '1 day'
    ) as days (day)
{%- endmacro %}


{# The instant at which a calendar day begins in the report zone. #}
{% macro day_begins(day) -%}
    ({{ day }}::timestamp at time zone '{{ report_timezone() }}')
{%- endmacro %}


{# The first calendar day of the week (a Monday), month or day that a day lies in. #}
{% macro first_day_of(unit, day) -%}
    {{ day if unit == 'day' else "date_trunc('" ~ unit ~ "', (" ~ day ~ ")::timestamp)::date" }}
{%- endmacro %}

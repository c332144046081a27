{# The IANA zone in which calendar days are cut (setting REPORT_TIMEZONE). #}
{% macro report_timezone() -%}
    {{ return(env_var('REPORT_TIMEZONE', '') or 'Europe/Moscow') }}
{%- endmacro %}


{# The calendar day of an instant (timestamptz) in the report zone. #}
{% macro report_date(instant) -%}
    ({{ instant }} at time zone '{{ report_timezone() }}')::date
{%- endmacro %}


{#
  The earliest day on which `facts` (a relation with activity_date and record_no) hold something new
  to this model, 'infinity' when nothing is new, '-infinity' in a rebuild and for an empty mart. An
  attempt changes only its own day and later ones, so what ends before that day stays as it is.
  Without `offset 0` PostgreSQL would look through all days from the first on for one with new rows.
#}
{% macro first_new_day(facts) -%}
    {%- if execute and adds_to_itself() -%}
        {%- set last_record_no = last_record_no() -%}
        {%- if last_record_no > 0 -%}
            {%- set found = run_query(
                "select coalesce(min(activity_date), 'infinity')::text from (select activity_date from "
                ~ facts ~ " where record_no > " ~ last_record_no ~ " offset 0) as new_rows"
            ) -%}
            {{ return(found.columns[0].values()[0]) }}
        {%- endif -%}
    {%- endif -%}
    {{ return('-infinity') }}
{%- endmacro %}


{#
  The first day that a mart by day has to compute: the first new one, or the one after its last if
  that comes before. For a mart by week or month (`unit`; `column` has their first days) it is the
  first day of one. Rows of the mart for which `is_outdated` holds are computed again, with all that
  follow. `later`: how many days longer than its unit a row goes on.
#}
{% macro first_changed_day(facts, column='activity_date', unit='day', is_outdated='false', later=0) -%}
    {%- set first_new = first_new_day(facts) -%}
    {%- if first_new == '-infinity' -%}
        {{ return(first_new) }}
    {%- endif -%}
    {%- set found = run_query(
        "select least("
        ~ first_day_of(unit, "date '" ~ first_new ~ "' - " ~ later)
        ~ ", (max(" ~ column ~ ") + interval '1 " ~ unit ~ "')::date"
        ~ ", min(" ~ column ~ ") filter (where " ~ is_outdated ~ "))::text from " ~ this
    ) -%}
    {{ return(found.columns[0].values()[0]) }}
{%- endmacro %}


{#
  Every calendar day (or week, or month) from the one found by first_changed_day to the last that a
  relation named `activity` has.
#}
{% macro days_from(first_day, activity, column='activity_date', unit='day') -%}
    select day::date as {{ column }}

    from generate_series(
        (
            select coalesce(nullif(date '{{ first_day }}', '-infinity'), min({{ column }}))
            from {{ activity }}
        )::timestamp,
        (select max({{ column }}) from {{ activity }})::timestamp,
        interval '1 {{ unit }}'
    ) as days (day)
{%- endmacro %}


{#
  Rows of `learners` (a CTE with the columns of learner_counts, by user_id and `column`), and one
  without a learner for each row of the CTE `calendar`, so that days without an attempt count, too.
  A left join would sort all rows by day.
#}
{% macro with_every_day(learners, column='activity_date') -%}
    select user_id, {{ column }}, attempts, runs, submits, graded_submits, correct_submits, record_no
    from {{ learners }}

    union all

    select null, {{ column }}, 0, 0, 0, 0, 0, null
    from calendar
{%- endmacro %}


{# The instant at which a calendar day begins in the report zone. #}
{% macro day_begins(day) -%}
    ({{ day }}::timestamp at time zone '{{ report_timezone() }}')
{%- endmacro %}


{# The first calendar day of the week (a Monday), month or day that a day lies in. #}
{% macro first_day_of(unit, day) -%}
    {{ day if unit == 'day' else "date_trunc('" ~ unit ~ "', (" ~ day ~ ")::timestamp)::date" }}
{%- endmacro %}

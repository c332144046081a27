{#
  Whether we have all of a calendar week or month (`unit`; `column` has its first day): it begins no
  earlier than what we fetched, and its last day is over. `as_of` is the relation or a CTE.
#}
{% macro is_complete(unit, column, as_of) -%}
    (
        select
            {{ day_begins(column) }} >= history_from
            and ({{ column }} + interval '1 {{ unit }}')::date - 1 <= as_of_day
        from {{ as_of }}
    )
{%- endmacro %}


{#
  The metrics of each calendar week or month (`unit`), from the first with an attempt to the last:
  learners are counted anew for each, never added up. `column` names its first day. Those before the
  first changed day stay as they are, unless they have become complete.
#}
{% macro calendar_metrics(unit, column) -%}
{%- set is_outdated = 'is_complete <> ' ~ is_complete(unit, column, ref('as_of')) -%}
{%- set first_day = first_changed_day(ref('int_learner_course_days'), column, unit, is_outdated) -%}
with as_of as (

    select * from {{ ref('as_of') }}

),

activity as (

    select
        user_id,
        {{ first_day_of(unit, 'activity_date') }} as {{ column }},
        {{ sums_of_counts() }},
        max(record_no) as record_no

    from {{ ref('int_learner_course_days') }}

    where activity_date >= date '{{ first_day }}'

    group by user_id, {{ first_day_of(unit, 'activity_date') }}

),

calendar as (

    {{ days_from(first_day, 'activity', column, unit) }}

),

counts as (

    select
        {{ column }},
        {{ set_counts() }},
        max(record_no) as record_no

    from ({{ with_every_day('activity', column) }}) as every_{{ unit }}

    group by {{ column }}

),

new_users as (

    {{ new_users(unit, column, first_day) }}

),

first_correct as (

    select
        {{ first_day_of(unit, 'first_correct_date') }} as {{ column }},
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from {{ ref('learner_tasks') }}

    where first_correct_date >= date '{{ first_day }}'

    group by {{ first_day_of(unit, 'first_correct_date') }}

)

select
    counts.{{ column }},
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    coalesce(new_users.new_users, 0) as new_users,
    counts.graded_submits,
    {{ is_complete(unit, 'counts.' ~ column, 'as_of') }} as is_complete,
    counts.record_no

from counts

left join new_users on counts.{{ column }} = new_users.{{ column }}

left join first_correct on counts.{{ column }} = first_correct.{{ column }}
{%- endmacro %}


{#
  The metrics of each course and calendar day or week (`unit`) with an attempt; a learner is new where
  the first attempt in that course is. `column` names the first day. From the first changed day on.
#}
{% macro course_metrics(unit, column) -%}
{%- set first_day = first_changed_day(ref('int_learner_course_days'), column, unit) -%}
with activity as (
    {% if unit == 'day' %}

    select * from {{ ref('int_learner_course_days') }}

    where activity_date >= date '{{ first_day }}'
    {% else %}

    select
        course_key,
        user_id,
        {{ first_day_of(unit, 'activity_date') }} as {{ column }},
        {{ sums_of_counts() }},
        max(record_no) as record_no

    from {{ ref('int_learner_course_days') }}

    where activity_date >= date '{{ first_day }}'

    group by course_key, user_id, {{ first_day_of(unit, 'activity_date') }}
    {% endif %}

),

counts as (

    select
        course_key,
        {{ column }},
        {{ set_counts() }},
        max(record_no) as record_no

    from activity

    group by course_key, {{ column }}

),

new_users as (

    select
        course_key,
        {{ first_day_of(unit, 'first_day') }} as {{ column }},
        count(*) as new_users

    from {{ ref('int_learner_course_totals') }}

    where first_day >= date '{{ first_day }}'

    group by course_key, {{ first_day_of(unit, 'first_day') }}

),

first_correct as (

    select
        {{ course('course_key') }} as course_key,
        {{ first_day_of(unit, 'first_correct_date') }} as {{ column }},
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from {{ ref('learner_tasks') }}

    where first_correct_date >= date '{{ first_day }}'

    group by {{ course('course_key') }}, {{ first_day_of(unit, 'first_correct_date') }}

)

select
    counts.course_key,
    counts.{{ column }},
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    coalesce(new_users.new_users, 0) as new_users,
    counts.graded_submits,
    counts.unique_users < 5 as is_small,
    counts.record_no

from counts

left join new_users
    on counts.course_key = new_users.course_key
    and counts.{{ column }} = new_users.{{ column }}

left join first_correct
    on counts.course_key = first_correct.course_key
    and counts.{{ column }} = first_correct.{{ column }}
{%- endmacro %}

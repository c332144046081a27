{#
  The metrics of each calendar week or month (`unit`), from the first with an attempt to the last:
  learners are counted anew for each, never added up. `column` names its first day.
#}
{% macro calendar_metrics(unit, column) -%}
with as_of as (

    select * from {{ ref('as_of') }}

),

activity as (

    select
        user_id,
        {{ first_day_of(unit, 'activity_date') }} as {{ column }},
        {{ sums_of_counts() }},
        min(min(activity_date)) over (partition by user_id) = min(activity_date) as is_new

    from {{ ref('int_learner_course_days') }}

    group by user_id, {{ first_day_of(unit, 'activity_date') }}

),

calendar as (

    select
        generate_series(min({{ column }})::timestamp, max({{ column }}), interval '1 {{ unit }}')::date
            as {{ column }}

    from activity

),

counts as (

    select
        calendar.{{ column }},
        {{ set_counts() }},
        count(*) filter (where activity.is_new) as new_users

    from calendar

    left join activity on calendar.{{ column }} = activity.{{ column }}

    group by calendar.{{ column }}

),

first_correct as (

    select
        {{ first_day_of(unit, 'first_correct_date') }} as {{ column }},
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from {{ ref('learner_tasks') }}

    where first_correct_date is not null

    group by {{ first_day_of(unit, 'first_correct_date') }}

)

select
    counts.{{ column }},
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    counts.new_users,
    counts.graded_submits,
    {{ day_begins('counts.' ~ column) }} >= as_of.history_from
    and (counts.{{ column }} + interval '1 {{ unit }}')::date - 1 <= as_of.as_of_day as is_complete

from counts

cross join as_of

left join first_correct on counts.{{ column }} = first_correct.{{ column }}
{%- endmacro %}


{#
  The metrics of each course and calendar day or week (`unit`) with an attempt; a learner is new where
  the first attempt in that course is. `column` names the first day.
#}
{% macro course_metrics(unit, column) -%}
with activity as (

    select
        course_key,
        user_id,
        {{ first_day_of(unit, 'activity_date') }} as {{ column }},
        {{ sums_of_counts() }},
        min(min(activity_date)) over (partition by course_key, user_id) = min(activity_date) as is_new

    from {{ ref('int_learner_course_days') }}

    group by course_key, user_id, {{ first_day_of(unit, 'activity_date') }}

),

counts as (

    select
        course_key,
        {{ column }},
        {{ set_counts() }},
        count(*) filter (where is_new) as new_users

    from activity

    group by course_key, {{ column }}

),

first_correct as (

    select
        {{ course('course_key') }} as course_key,
        {{ first_day_of(unit, 'first_correct_date') }} as {{ column }},
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from {{ ref('learner_tasks') }}

    where first_correct_date is not null

    group by {{ course('course_key') }}, {{ first_day_of(unit, 'first_correct_date') }}

)

select
    counts.course_key,
    counts.{{ column }},
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    counts.new_users,
    counts.graded_submits,
    counts.unique_users < 5 as is_small

from counts

left join first_correct
    on counts.course_key = first_correct.course_key
    and counts.{{ column }} = first_correct.{{ column }}
{%- endmacro %}

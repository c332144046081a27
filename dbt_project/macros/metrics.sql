{#
  The metrics, written once: daily_metrics takes them over each calendar day, period_metrics over
  any window. Both count in two steps, first for each learner of the set, then over the learners.
#}

{#
  Step one: what one learner did in the set; from rows of the mart `attempts`, grouped by learner.
#}
{% macro learner_counts() -%}
    count(*) as attempts,
    count(*) filter (where attempt_type = 'run') as runs,
    count(*) filter (where attempt_type = 'submit') as submits,
    count(*) filter (where attempt_type = 'submit' and is_correct is not null) as graded_submits,
    count(*) filter (where attempt_type = 'submit' and is_correct) as correct_submits
{%- endmacro %}


{#
  Step one for days: a row for each learner and day since `first_day` (an SQL date), whatever the
  course.
#}
{% macro learner_days(first_day) -%}
    select
        user_id,
        activity_date,
        {%- for column in ['attempts', 'runs', 'submits', 'graded_submits', 'correct_submits'] %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        max(record_no) as record_no

    from {{ ref('int_learner_course_days') }}

    where activity_date >= {{ first_day }}

    group by user_id, activity_date
{%- endmacro %}


{# Step two: sums over the learners of the set; from rows with the columns of step one. #}
{% macro set_counts() -%}
    {%- for column in ['attempts', 'runs', 'submits', 'graded_submits', 'correct_submits'] %}
    coalesce(sum({{ column }}), 0)::bigint as {{ column }},
    {%- endfor %}
    count(user_id) as unique_users,
    count(user_id) filter (where correct_submits = 0) as users_without_correct
{%- endmacro %}


{#
  Whether a row with a learner's day (of a relation named `activity`) is the learner's first of all
  history.
#}
{% macro has_no_earlier_day(activity) -%}
    not exists (
        select 1
        from {{ ref('int_learner_course_days').render() }} as earlier
        where earlier.user_id = {{ activity }}.user_id
            and earlier.activity_date < {{ activity }}.activity_date
    )
{%- endmacro %}


{#
  Step three: the metrics of a set with the columns of step two. A ratio is NULL where there is
  nothing to divide by.
#}
{% macro set_metrics(counts) -%}
    {{ counts }}.attempts,
    {{ counts }}.runs,
    {{ counts }}.submits,
    {{ counts }}.correct_submits,
    {{ counts }}.correct_submits::numeric / nullif({{ counts }}.graded_submits, 0) as success_rate,
    {{ counts }}.unique_users,
    {{ counts }}.attempts::numeric / nullif({{ counts }}.unique_users, 0) as attempts_per_user,
    {{ counts }}.users_without_correct
{%- endmacro %}


{#
  Over rows of the mart `learner_tasks` whose first correct submit of all history lies in the set.
#}
{% macro avg_attempts_to_first_correct() -%}
    avg(attempts_to_first_correct)
{%- endmacro %}


{#
  For each day of the CTE `calendar`, the distinct learners of the 7 and 30 days that end with it.
  `activity` names a CTE with a row for each learner and day: activity_date, and next_date, that
  learner's next one. A learner joins on each active day and leaves 7 (or 30) days later, or when
  the next active day takes over; the running sum of both is the count.
#}
{% macro rolling_uniques(activity) -%}
    select
        activity_date,
        sum(sum(change_7d)) over (order by activity_date) as unique_users_7d,
        sum(sum(change_30d)) over (order by activity_date) as unique_users_30d

    from (
        select activity_date, 1 as change_7d, 1 as change_30d from {{ activity }}
        union all
        select least(activity_date + 7, next_date), -1, 0 from {{ activity }}
        union all
        select least(activity_date + 30, next_date), 0, -1 from {{ activity }}
        union all
        select activity_date, 0, 0 from calendar
    ) as changes

    group by activity_date
{%- endmacro %}

{#
  The metrics, written once: models/marts/daily_metrics.sql takes them over each calendar day, period_metrics over any window.
  Both count in two steps, first for each learner of the set, then over the learners, which is exact and faster than
  count(distinct ...).
#}

{# Step one: what one learner did in the set; from rows of the mart `attempts`, grouped by learner. #}
{% macro learner_counts() -%}
        count(*) as attempts,
        count(*) filter (where attempt_type = 'run') as runs,
        count(*) filter (where attempt_type = 'submit') as submits,
        count(*) filter (where attempt_type = 'submit' and is_correct is not null) as graded_submits,
        count(*) filter (where attempt_type = 'submit' and is_correct) as correct_submits
{%- endmacro %}


{# Step two: sums over the learners of the set; from rows with the columns of step one. #}
{% macro set_counts() -%}
        coalesce(sum(attempts), 0)::bigint as attempts,
        coalesce(sum(runs), 0)::bigint as runs,
        coalesce(sum(submits), 0)::bigint as submits,
        coalesce(sum(graded_submits), 0)::bigint as graded_submits,
        coalesce(sum(correct_submits), 0)::bigint as correct_submits,
        count(user_id) as unique_users,
        count(user_id) filter (where correct_submits = 0) as users_without_correct
{%- endmacro %}


{# Correct submits among those with a verdict; NULL when there is none. #}
{% macro success_rate(counts) -%}
    {{ counts }}.correct_submits::numeric / nullif({{ counts }}.graded_submits, 0)
{%- endmacro %}


{# NULL for an empty set. #}
{% macro attempts_per_user(counts) -%}
    {{ counts }}.attempts::numeric / nullif({{ counts }}.unique_users, 0)
{%- endmacro %}


{# Over rows of the mart `learner_tasks` whose first correct submit of all history lies in the set. #}
{% macro avg_attempts_to_first_correct() -%}
    avg(attempts_to_first_correct)
{%- endmacro %}


{#
  For each day of the CTE `calendar`, the distinct learners of the 7 and 30 days that end with it. `activity` names a CTE with a row
  for each learner and day: activity_date, and next_date, that learner's next one. A learner counts for n days from each
  active day on, or until the next one takes over, so the sum of comings and goings up to a day is what it has.
#}
{% macro rolling_uniques(activity) -%}
    select
        activity_date,
        sum(sum(change_7d)) over (order by activity_date) as unique_users_7d,
        sum(sum(change_30d)) over (order by activity_date) as unique_users_30d

    from (
        select
            activity_date,
            1 as change_7d,
            1 as change_30d
        from {{ activity }}

        union all

        select
            least(activity_date + 7, next_date),
            -1,
            0
        from {{ activity }}

        union all

        select
            least(activity_date + 30, next_date),
            0,
            -1
        from {{ activity }}

        union all

        select
            activity_date,
            0,
            0
        from calendar
    ) as changes

    group by activity_date
{%- endmacro %}


{#
  One row: the metrics over the valid attempts with start <= created_at < end. `start` and `end_` are texts of instants with their
  offset. The calendar days of the window narrow the search first, because the days are what the mart is indexed by; two more on
  either side, because the mart's days may still be those of another zone than the one set now.
#}
{% macro period_metrics(start, end_) -%}
with attempts as (

    select * from {{ ref('attempts') }}

),

-- `not materialized`: what is read more than once is read by its indexes, not copied as a whole first
learner_tasks as not materialized (

    select * from {{ ref('learner_tasks') }}

),

learners as (

    select
        user_id,
        {{ learner_counts() }}

    from attempts

    where activity_date between {{ report_date("timestamptz '" ~ start ~ "'") }} - 2 and {{ report_date("timestamptz '" ~ end_ ~ "'") }} + 2
        and created_at >= timestamptz '{{ start }}'
        and created_at < timestamptz '{{ end_ }}'

    group by user_id

),

counts as (

    select
        {{ set_counts() }}

    from learners

),

first_correct as (

    select {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks

    where first_correct_date between {{ report_date("timestamptz '" ~ start ~ "'") }} - 2 and {{ report_date("timestamptz '" ~ end_ ~ "'") }} + 2
        and first_correct_at >= timestamptz '{{ start }}'
        and first_correct_at < timestamptz '{{ end_ }}'

),

new_users as (

    select count(*) as new_users

    from learners

    where not exists (
        select 1
        from learner_tasks
        where learner_tasks.user_id = learners.user_id
            and learner_tasks.first_attempt_at < timestamptz '{{ start }}'
    )

)

select
    counts.attempts,
    counts.runs,
    counts.submits,
    counts.correct_submits,
    {{ success_rate('counts') }} as success_rate,
    counts.unique_users,
    {{ attempts_per_user('counts') }} as attempts_per_user,
    counts.users_without_correct,
    first_correct.avg_attempts_to_first_correct,
    new_users.new_users

from counts

cross join first_correct

cross join new_users
{%- endmacro %}

{#- What a learner did in a course, over all time and of late. -#}
{{ config(materialized='ephemeral') }}

with as_of as (

    select * from {{ ref('as_of') }}

),

totals as (

    select * from {{ ref('int_learner_course_totals') }}

),

learner_course_days as (

    select * from {{ ref('int_learner_course_days') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

-- the last two weeks; their open end is written out, for the planner expects few days between bounds
days as (

    select
        learner_course_days.user_id,
        learner_course_days.course_key,
        sum(learner_course_days.graded_submits) filter (
            where learner_course_days.activity_date >= as_of.as_of_day - 6
        )::bigint as graded_submits_7d,
        bool_or(learner_course_days.activity_date <= as_of.as_of_day - 7) as was_active_before

    from as_of

    inner join learner_course_days
        on learner_course_days.activity_date between as_of.as_of_day - 13 and 'infinity'

    group by learner_course_days.user_id, learner_course_days.course_key

),

pairs as (

    select
        user_id,
        {{ course('course_key') }} as course_key,
        count(*) filter (where {{ is_stuck() }}) as tasks_stuck,
        count(*) filter (where first_correct_date >= (select as_of.as_of_day - 6 from as_of)) as tasks_solved_7d

    from learner_tasks

    where {{ is_recent(14) }}

    group by user_id, {{ course('course_key') }}

),

combined as (

    select
        totals.user_id,
        totals.course_key,
        totals.attempts,
        totals.runs,
        totals.submits,
        totals.graded_submits,
        totals.correct_submits,
        totals.active_days,
        totals.first_day,
        totals.last_day,
        totals.tasks_tried,
        totals.tasks_solved,
        totals.tasks_unsolved,
        coalesce(days.graded_submits_7d, 0) as graded_submits_7d,
        coalesce(days.was_active_before, false) as was_active_before,
        coalesce(pairs.tasks_stuck, 0) as tasks_stuck,
        coalesce(pairs.tasks_solved_7d, 0) as tasks_solved_7d,
        greatest(as_of.as_of_day - totals.last_day, 0) as days_silent

    from totals

    left join days on totals.user_id = days.user_id and totals.course_key = days.course_key

    left join pairs on totals.user_id = pairs.user_id and totals.course_key = pairs.course_key

    cross join as_of

)

select
    *,
    -- a learner who submits and solves nothing needs infinitely many
    case
        when graded_submits_7d > 0
            then coalesce({{ ratio('graded_submits_7d', 'tasks_solved_7d') }}, 'infinity')
    end as submits_per_task_7d

from combined

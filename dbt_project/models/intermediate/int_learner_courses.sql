{#- What a learner did in a course, over all its days and over all its tasks. -#}
{{ config(materialized='ephemeral') }}

with as_of as (

    select as_of_day from {{ ref('as_of') }}

),

learner_course_days as (

    select * from {{ ref('int_learner_course_days') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

dated_days as (

    select
        learner_course_days.*,
        as_of.as_of_day

    from learner_course_days

    cross join as_of

),

dated_tasks as (

    select
        learner_tasks.*,
        as_of.as_of_day

    from learner_tasks

    cross join as_of

),

days as (

    select
        user_id,
        course_key,
        {{ sums_of_counts() }},
        count(*) as active_days,
        min(activity_date) as first_day,
        max(activity_date) as last_day,
        coalesce(sum(graded_submits) filter (where activity_date >= as_of_day - 6), 0)::bigint as graded_submits_7d,
        bool_or(activity_date between as_of_day - 13 and as_of_day - 7) as was_active_before

    from dated_days

    group by user_id, course_key

),

pairs as (

    select
        user_id,
        {{ course('course_key') }} as course_key,
        count(*) as tasks_tried,
        count(*) filter (where status = 'solved') as tasks_solved,
        count(*) filter (where status = 'unsolved') as tasks_unsolved,
        count(*) filter (where {{ is_stuck('as_of_day') }}) as tasks_stuck,
        count(*) filter (where first_correct_date >= as_of_day - 6) as tasks_solved_7d

    from dated_tasks

    group by user_id, {{ course('course_key') }}

)

select
    days.*,
    pairs.tasks_tried,
    pairs.tasks_solved,
    pairs.tasks_unsolved,
    pairs.tasks_stuck,
    pairs.tasks_solved_7d,
    greatest(as_of.as_of_day - days.last_day, 0) as days_silent,
    -- a learner who submits and solves nothing needs infinitely many
    case
        when days.graded_submits_7d > 0
            then coalesce({{ ratio('days.graded_submits_7d', 'pairs.tasks_solved_7d') }}, 'infinity')
    end as submits_per_task_7d

from days

inner join pairs on days.user_id = pairs.user_id and days.course_key = pairs.course_key

cross join as_of

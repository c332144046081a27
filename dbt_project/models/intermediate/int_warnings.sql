{#- The early warning as it would have been given on each Monday, beside what came of it. -#}
{{ config(materialized='ephemeral') }}

with as_of as (

    select * from {{ ref('as_of') }}

),

activity as (

    select * from {{ ref('int_learner_course_days') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

-- the newest Mondays that two full weeks have followed; materialized, or they would be worked out for each day
weeks as materialized (

    select {{ first_day_of('week', 'as_of.as_of_day - 13') }} - 7 * back.weeks as week_start

    from as_of

    cross join generate_series(0, 25) as back (weeks)

),

-- each learner's last day before the Monday, and the last of all that are looked at
days as (

    select
        weeks.week_start,
        activity.user_id,
        activity.course_key,
        max(activity.activity_date) filter (where activity.activity_date < weeks.week_start) as last_day_before,
        max(activity.activity_date) as last_day

    from weeks

    inner join activity
        on activity.activity_date between weeks.week_start - 28 and weeks.week_start + 13

    group by weeks.week_start, activity.user_id, activity.course_key

),

-- who was active in the four weeks before
candidates as (

    select
        week_start,
        user_id,
        course_key,
        last_day_before < week_start - 7 as is_silent,
        last_day < week_start as has_vanished

    from days

    where last_day_before is not null

)

-- flagged: silent with a task that was tried and not solved by then
select
    *,
    is_silent and exists (
        select 1
        from learner_tasks
        where learner_tasks.user_id = candidates.user_id
            and {{ course('learner_tasks.course_key') }} = candidates.course_key
            and {{ report_date('learner_tasks.first_graded_at') }} < candidates.week_start
            and coalesce(learner_tasks.first_correct_date, 'infinity') >= candidates.week_start
    ) as is_flagged

from candidates

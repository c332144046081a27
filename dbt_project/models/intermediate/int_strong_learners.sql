{#-
  Of the learners with graded submits on a task on the last full day, those who had done better than
  the median of them on other tasks before that day.
-#}
{{ config(materialized='ephemeral') }}

with as_of as (

    select * from {{ ref('as_of') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

day_learner_tasks as (

    select * from {{ ref('int_day_learner_tasks') }}

),

first_verdicts as (

    select
        learner_tasks.user_id,
        learner_tasks.task_id,
        learner_tasks.first_graded_correct::int as first_correct

    from learner_tasks

    cross join as_of

    where not learner_tasks.is_left_censored
        and {{ report_date('learner_tasks.first_graded_at') }} < as_of.as_of_day
        and learner_tasks.user_id in (select day_learner_tasks.user_id from day_learner_tasks)

),

totals as (

    select
        user_id,
        count(*) as verdicts,
        sum(first_correct) as correct

    from first_verdicts

    group by user_id

),

-- the mean of a learner's first verdicts on the other tasks
abilities as (

    select
        day_learner_tasks.task_id,
        day_learner_tasks.graded_submits,
        day_learner_tasks.correct_submits,
        (totals.correct - coalesce(own.first_correct, 0))::numeric
        / (totals.verdicts - (own.task_id is not null)::int) as ability

    from day_learner_tasks

    inner join totals on day_learner_tasks.user_id = totals.user_id

    left join first_verdicts as own
        on day_learner_tasks.user_id = own.user_id
        and day_learner_tasks.task_id = own.task_id

    where totals.verdicts - (own.task_id is not null)::int >= 5

),

medians as (

    select
        task_id,
        {{ quantile(0.5, 'ability') }} as median_ability

    from abilities

    group by task_id

)

select
    abilities.task_id,
    sum(abilities.graded_submits) as graded_submits,
    sum(abilities.correct_submits) as correct_submits

from abilities

inner join medians on abilities.task_id = medians.task_id

where abilities.ability > medians.median_ability

group by abilities.task_id

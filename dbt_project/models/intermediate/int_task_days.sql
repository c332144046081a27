{#- The tasks with submits on the last full day, beside the four weeks before it. -#}
{{ config(materialized='ephemeral') }}

with day_learner_tasks as (

    select * from {{ ref('int_day_learner_tasks') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

strong_learners as (

    select * from {{ ref('int_strong_learners') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

submits as (

    select
        *,
        activity_date = (select as_of.as_of_day from as_of) as is_now

    from {{ ref('attempts').render() }}

    where activity_date between (select as_of.as_of_day - 28 from as_of) and (select as_of.as_of_day from as_of)
        and attempt_type = 'submit'
        and not is_excluded

),

tasks as (

    select
        task_id,
        min(course_key) as course_key,
        min(block_id) as block_id,
        count(*) filter (where is_now) as submits,
        count(is_correct) filter (where is_now) as graded_submits,
        count(*) filter (where is_now and is_correct) as correct_submits,
        count(is_correct) filter (where not is_now) as baseline_graded_submits,
        count(*) filter (where not is_now and is_correct) as baseline_correct_submits,
        count(distinct user_id) filter (where is_now) as learners,
        count(distinct user_id) filter (where is_now and is_correct is not null) as learners_graded

    from submits

    group by task_id

    having bool_or(is_now)

),

-- learners who had solved the task before and now fail in all they submit
failing as (

    select
        day_learner_tasks.task_id,
        count(*) as solved_before_failing_now

    from day_learner_tasks

    inner join learner_tasks
        on day_learner_tasks.user_id = learner_tasks.user_id
        and day_learner_tasks.task_id = learner_tasks.task_id

    where day_learner_tasks.correct_submits = 0
        and learner_tasks.first_correct_date < (select as_of.as_of_day from as_of)

    group by day_learner_tasks.task_id

),

rates as (

    select
        tasks.*,
        {{ ratio('tasks.correct_submits', 'tasks.graded_submits') }} as success_rate,
        {{ ratio('tasks.baseline_correct_submits', 'tasks.baseline_graded_submits') }} as baseline_success_rate,
        coalesce(failing.solved_before_failing_now, 0) as solved_before_failing_now,
        strong_learners.graded_submits as strong_graded_submits,
        {{ ratio('strong_learners.correct_submits', 'strong_learners.graded_submits') }} as strong_success_rate

    from tasks

    left join failing on tasks.task_id = failing.task_id

    left join strong_learners on tasks.task_id = strong_learners.task_id

)

select
    *,
    graded_submits >= 8 and learners_graded >= 5 and baseline_graded_submits >= 50 as is_comparable,
    {{ log_likelihood_ratio(
        'graded_submits', 'success_rate', 'baseline_graded_submits', 'baseline_success_rate'
    ) }} as llr

from rates

{%- set key = ['course_key', 'task_id'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

tasks as (

    select
        *,
        {{ course('course_key') }} as course
    from {{ ref('tasks') }}

),

totals as not materialized (

    select * from {{ ref('int_learner_course_totals') }}

),

courses as (

    select
        course_key as course,
        count(*) as learners

    from totals

    group by course_key

),

left_tasks as (

    select
        totals.last_task_id as task_id,
        count(*) as left_here

    from totals

    cross join as_of

    where as_of.as_of_day - totals.last_day >= 14

    group by totals.last_task_id

),

steps as (

    select
        pairs.task_id,
        pairs.step,
        count(*) as learners

    from totals

    cross join unnest(totals.task_ids, totals.steps) as pairs (task_id, step)

    group by pairs.task_id, pairs.step

),

halves as (

    select
        task_id,
        step,
        2 * sum(learners) over (partition by task_id order by step) >= sum(learners) over (
            partition by task_id
        ) as has_half

    from steps

),

-- the median step of a task: the first by which half of its learners have met it
met as (

    select
        task_id,
        min(step) as median_step

    from halves

    where has_half

    group by task_id

)

select
    tasks.course as course_key,
    tasks.task_id,
    row_number() over (
        partition by tasks.course order by met.median_step, {{ task_order('tasks') }}
    ) as position,
    tasks.learners as learners_reached,
    {{ ratio('tasks.learners', 'courses.learners') }} as reached_share,
    tasks.learners_solved,
    coalesce(left_tasks.left_here, 0) as left_here

from tasks

inner join met on tasks.task_id = met.task_id

inner join courses on tasks.course = courses.course

left join left_tasks on tasks.task_id = left_tasks.task_id

where tasks.learners >= 20

{%- set key = ['course_key', 'task_id'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

pairs as (

    select
        user_id,
        {{ course('course_key') }} as course,
        course_key,
        block_id,
        task_id,
        first_attempt_at,
        last_attempt_at,
        first_correct_at,
        -- 1 + the number of the learner's tasks of the course with an earlier first attempt
        rank() over (partition by user_id, {{ course('course_key') }} order by first_attempt_at) as step

    from {{ ref('learner_tasks') }}

),

-- where each learner of the course was last
last_tasks as (

    select distinct on (user_id, course)
        task_id,
        {{ report_date('last_attempt_at') }} as last_day

    from pairs

    order by user_id, course, last_attempt_at desc, {{ task_order() }}

),

left_tasks as (

    select
        last_tasks.task_id,
        count(*) as left_here

    from last_tasks

    cross join as_of

    where as_of.as_of_day - last_tasks.last_day >= 14

    group by last_tasks.task_id

),

courses as (

    select
        course,
        count(distinct user_id) as learners

    from pairs

    group by course

),

tasks as (

    select
        course,
        course_key,
        block_id,
        task_id,
        count(*) as learners_reached,
        count(first_correct_at) as learners_solved,
        {{ quantile(0.5, 'step') }} as median_step

    from pairs

    group by course, course_key, block_id, task_id

    having count(*) >= 20

)

select
    tasks.course as course_key,
    tasks.task_id,
    row_number() over (
        partition by tasks.course order by tasks.median_step, {{ task_order('tasks') }}
    ) as position,
    tasks.learners_reached,
    {{ ratio('tasks.learners_reached', 'courses.learners') }} as reached_share,
    tasks.learners_solved,
    coalesce(left_tasks.left_here, 0) as left_here

from tasks

inner join courses on tasks.course = courses.course

left join left_tasks on tasks.task_id = left_tasks.task_id

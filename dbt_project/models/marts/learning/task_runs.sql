{%- set key = ['organisation', 'course', 'block_id', 'run'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with tasks as (

    select * from {{ ref('tasks') }}

),

courses as (

    select * from {{ ref('courses') }}

),

counts as (

    select
        courses.organisation,
        courses.course,
        tasks.block_id,
        courses.run,
        sum(tasks.graded_submits) as graded_submits,
        sum(tasks.correct_submits) as correct_submits,
        sum(tasks.learners)::bigint as learners,
        sum(tasks.learners_submitted) as learners_submitted,
        sum(tasks.learners_solved) as learners_solved,
        {{ ratio('sum(tasks.first_submits_correct)', 'sum(tasks.first_submits)') }} as first_submit_success,
        min(min(tasks.first_attempt_at)) over (
            partition by courses.organisation, courses.course, courses.run
        ) as run_began_at,
        count(*) over (partition by courses.organisation, courses.course, tasks.block_id) as runs_with_block

    from tasks

    inner join courses on tasks.course_key = courses.course_key

    where courses.organisation is not null

    group by courses.organisation, courses.course, tasks.block_id, courses.run

),

rates as (

    select
        *,
        {{ ratio('correct_submits', 'graded_submits') }} as success_rate,
        {{ ratio('learners_solved', 'learners_submitted') }} as solve_rate

    from counts

    where runs_with_block >= 2

)

select
    organisation,
    course,
    block_id,
    run,
    learners,
    {% for rate in ['success_rate', 'solve_rate', 'first_submit_success'] %}
    {{ rate }},
    {{ rate }} - lag({{ rate }}) over earlier_runs as {{ rate }}_change,
    {% endfor %}
    learners_submitted < 5 as is_small

from rates

window earlier_runs as (
    partition by organisation, course, block_id
    order by run_began_at, run collate "C"
)

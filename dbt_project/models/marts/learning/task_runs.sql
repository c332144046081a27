{%- set key = ['organisation', 'course', 'block_id', 'run'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

courses as (

    select * from {{ ref('courses') }}

),

counts as (

    select
        courses.organisation,
        courses.course,
        learner_tasks.block_id,
        courses.run,
        count(*) as learners,
        {{ sums_of_counts('learner_tasks') }},
        count(learner_tasks.first_graded_at) as learners_submitted,
        count(learner_tasks.first_correct_at) as learners_solved,
        {{ first_submit_success() }} as first_submit_success,
        min(min(learner_tasks.first_attempt_at)) over (
            partition by courses.organisation, courses.course, courses.run
        ) as run_began_at,
        count(*) over (partition by courses.organisation, courses.course, learner_tasks.block_id) as runs_with_block

    from learner_tasks

    inner join courses on learner_tasks.course_key = courses.course_key

    where courses.organisation is not null

    group by courses.organisation, courses.course, learner_tasks.block_id, courses.run

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

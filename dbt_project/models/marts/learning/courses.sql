{{ config(
    unique_key='course_key',
    indexes=[{'columns': ['course_key'], 'unique': true}],
) }}

with learner_courses as (

    select * from {{ ref('learner_courses') }}

),

tasks as (

    select * from {{ ref('tasks') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

names as (

    select * from {{ ref('names') }}

),

dated_learners as (

    select
        learner_courses.*,
        as_of.as_of_day

    from learner_courses

    cross join as_of

),

learners as (

    select
        course_key,
        count(*) as learners,
        count(*) filter (where last_day >= as_of_day - 6) as learners_active_7d,
        count(*) filter (where last_day >= as_of_day - 27) as learners_active_28d,
        {{ sums_of_counts() }},
        {% for flag in ['new', 'stuck', 'struggling', 'disengaging', 'at_risk', 'dormant'] %}
        count(*) filter (where {{ flag }}) as learners_{{ flag }},
        {% endfor %}
        min(first_day) as first_day,
        max(last_day) as last_day

    from dated_learners

    group by course_key

),

sums_of_tasks as (

    select
        {{ course('course_key') }} as course_key,
        count(*) as tasks,
        {{ ratio('sum(first_submits_correct)', 'sum(first_submits)') }} as first_submit_success,
        sum(learner_hours_lost_28d) as learner_hours_lost_28d

    from tasks

    group by {{ course('course_key') }}

)

select
    learners.course_key,
    ({{ course_parts('learners.course_key') }})[1] as organisation,
    ({{ course_parts('learners.course_key') }})[2] as course,
    ({{ course_parts('learners.course_key') }})[3] as run,
    coalesce(names.title, {{ short_course('learners.course_key') }}) as title,
    learners.learners,
    learners.learners_active_7d,
    learners.learners_active_28d,
    sums_of_tasks.tasks,
    learners.attempts,
    learners.runs,
    learners.submits,
    learners.graded_submits,
    learners.correct_submits,
    {{ ratio('learners.correct_submits', 'learners.graded_submits') }} as success_rate,
    sums_of_tasks.first_submit_success,
    learners.learners_new,
    learners.learners_stuck,
    learners.learners_struggling,
    learners.learners_disengaging,
    learners.learners_at_risk,
    learners.learners_dormant,
    sums_of_tasks.learner_hours_lost_28d,
    learners.first_day,
    learners.last_day,
    learners.learners < 5 as is_small

from learners

inner join sums_of_tasks on learners.course_key = sums_of_tasks.course_key

left join names on learners.course_key = names.key

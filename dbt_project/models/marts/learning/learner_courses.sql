{#- Indexes: the key; the learners of a course. -#}
{{ config(
    schema='learners',
    unique_key=['user_id', 'course_key'],
    meta={'distributed_by': 'user_id'},
    indexes=[
        {'columns': ['user_id', 'course_key'], 'unique': true},
        {'columns': ['course_key']},
    ],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

learner_courses as (

    select * from {{ ref('int_learner_courses') }}

),

courses as (

    select
        course_key,
        count(submits_per_task_7d) as learners,
        {{ quantile(0.85, 'submits_per_task_7d') }} as slow

    from learner_courses

    group by course_key

),

compared as (

    select
        learner_courses.*,
        courses.learners,
        courses.slow,
        as_of.as_of_day

    from learner_courses

    inner join courses on learner_courses.course_key = courses.course_key

    cross join as_of

),

flagged as (

    select
        *,
        first_day > as_of_day - 7 as new,
        tasks_stuck > 0 as stuck,
        coalesce(
            learners >= 20 and graded_submits_7d >= 5 and submits_per_task_7d > 2 and submits_per_task_7d >= slow, false
        ) as struggling,
        was_active_before and last_day < as_of_day - 6 as disengaging,
        days_silent between 7 and 27 and tasks_unsolved > 0 as at_risk,
        days_silent >= 28 as dormant

    from compared

)

{% set flags = ['new', 'stuck', 'struggling', 'disengaging', 'at_risk', 'dormant'] %}
select
    user_id,
    course_key,
    attempts,
    runs,
    submits,
    graded_submits,
    correct_submits,
    {{ ratio('correct_submits', 'graded_submits') }} as success_rate,
    active_days,
    first_day,
    last_day,
    tasks_tried,
    tasks_solved,
    tasks_unsolved,
    tasks_stuck,
    graded_submits_7d,
    tasks_solved_7d,
    days_silent,
    {{ flags | join(',\n    ') }},
    array_remove(array[
        {% for flag in flags %}
        case when {{ flag }} then '{{ flag }}' end{{ ',' if not loop.last }}
        {% endfor %}
    ], null) as reasons

from flagged

{{ config(
    unique_key='task_id',
    indexes=[{'columns': ['task_id'], 'unique': true}],
) }}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

names as (

    select * from {{ ref('names') }}

),

solutions as (

    select * from {{ ref('int_task_solutions') }}

),

discrimination as (

    select * from {{ ref('int_task_discrimination') }}

),

counts as (

    select
        task_id,
        min(course_key) as course_key,
        min(block_id) as block_id,
        max(lms_url collate "C") as lms_url,
        count(*) as learners,
        {{ sums_of_counts() }},
        count(first_graded_at) as learners_submitted,
        count(first_correct_at) as learners_solved,
        count(first_graded_at) filter (where not is_left_censored) as first_submits,
        count(*) filter (where not is_left_censored and first_graded_correct) as first_submits_correct,
        {{ success_by_attempt(5) }} as success_by_attempt,
        count(*) filter (where {{ is_stuck() }}) as learners_stuck,
        sum(lost_seconds) / 3600 as learner_hours_lost,
        coalesce(sum(lost_seconds) filter (where {{ is_recent(28) }}), 0) / 3600 as learner_hours_lost_28d,
        min(first_attempt_at) as first_attempt_at,
        max(last_attempt_at) as last_attempt_at

    from learner_tasks

    group by task_id

)

select
    counts.task_id,
    counts.course_key,
    counts.block_id,
    coalesce(names.title, {{ short_key('coalesce(counts.block_id, counts.task_id)') }}) as title,
    counts.lms_url,
    counts.learners,
    counts.attempts,
    counts.runs,
    counts.submits,
    counts.graded_submits,
    counts.correct_submits,
    {{ ratio('counts.correct_submits', 'counts.graded_submits') }} as success_rate,
    counts.learners_submitted,
    counts.learners_solved,
    {{ ratio('counts.learners_solved', 'counts.learners_submitted') }} as solve_rate,
    counts.first_submits,
    counts.first_submits_correct,
    {{ ratio('counts.first_submits_correct', 'counts.first_submits') }} as first_submit_success,
    solutions.submits_to_solve_median,
    solutions.submits_to_solve_p90,
    solutions.minutes_to_solve_median,
    counts.success_by_attempt,
    discrimination.discrimination,
    counts.learners_stuck,
    counts.learner_hours_lost,
    counts.learner_hours_lost_28d,
    case
        when counts.learner_hours_lost_28d > 0
            then row_number() over (order by counts.learner_hours_lost_28d desc, {{ task_order('counts') }})
    end as repair_rank,
    counts.first_attempt_at,
    counts.last_attempt_at,
    counts.learners_submitted < 5 as is_small

from counts

left join solutions on counts.task_id = solutions.task_id

left join discrimination on counts.task_id = discrimination.task_id

left join names on counts.task_id = names.key

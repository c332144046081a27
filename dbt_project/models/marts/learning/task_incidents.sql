{{ config(
    unique_key='task_id',
    indexes=[{'columns': ['task_id'], 'unique': true}],
) }}

with candidates as (

    select * from {{ ref('int_task_days') }}

),

judged as (

    select
        *,
        case
            when is_comparable and llr >= 8 and success_rate < baseline_success_rate
                and (
                    solved_before_failing_now >= 2
                    or (strong_graded_submits >= 4 and strong_success_rate <= baseline_success_rate / 2)
                ) then 'broken'
            when is_comparable and llr >= 8 and success_rate < baseline_success_rate then 'hard'
            when is_comparable and success_rate = 1 and graded_submits >= 20 and baseline_success_rate < 0.6
                then 'passes_everything'
            when submits >= 20 and submits - graded_submits >= 0.2 * submits then 'mute'
        end as kind

    from candidates

)

select
    task_id,
    course_key,
    block_id,
    kind,
    graded_submits,
    success_rate,
    baseline_graded_submits,
    baseline_success_rate,
    llr,
    learners,
    solved_before_failing_now,
    learners < 5 as is_small

from judged

where kind is not null

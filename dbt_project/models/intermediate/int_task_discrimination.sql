{{ config(materialized='ephemeral') }}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

-- each pair's first verdict, beside those of the same learner on all graded tasks of the course
first_verdicts as (

    select
        task_id,
        first_graded_correct::int as first_correct,
        count(*) over course_of_learner - 1 as other_verdicts,
        sum(first_graded_correct::int) over course_of_learner - first_graded_correct::int as others_correct

    from learner_tasks

    where first_graded_at is not null
        and not is_left_censored

    window course_of_learner as (partition by user_id, {{ course('course_key') }})

),

compared as (

    select
        task_id,
        first_correct,
        others_correct::numeric / other_verdicts as mean_of_others

    from first_verdicts

    where other_verdicts >= 5

)

select
    task_id,
    case
        when count(*) >= 30
            and min(first_correct) < max(first_correct)
            and min(mean_of_others) < max(mean_of_others)
            then corr(first_correct, mean_of_others)
    end as discrimination

from compared

group by task_id

{{ config(materialized='ephemeral') }}

-- in a fixed order, because the last digits of a correlation depend on it
with totals as {{ gathered() }} (

    select * from {{ ref('int_learner_course_totals') }}

    where first_submits >= 6

    order by user_id, course_key

),

-- each pair's first verdict, beside the mean of those on the learner's other tasks of the course
compared as (

    select
        pairs.task_id,
        pairs.first_correct,
        (totals.first_submits_correct - pairs.first_correct)::double precision
        / (totals.first_submits - 1) as mean_of_others

    from totals

    cross join unnest(totals.task_ids, totals.first_corrects) as pairs (task_id, first_correct)

    where pairs.first_correct is not null

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

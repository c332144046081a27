{#-
  What it took to solve a task. Apart from the counts of `tasks`: quantiles are taken of sorted rows, so
  of as few and as narrow ones as need be.
-#}
{{ config(materialized='ephemeral') }}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

)

select
    task_id,
    {{ quantile(0.5, 'submits_to_first_correct') }} as submits_to_solve_median,
    {{ quantile(0.9, 'submits_to_first_correct') }} as submits_to_solve_p90,
    {{ quantile(0.5, 'active_seconds_to_first_correct') }} / 60 as minutes_to_solve_median

from learner_tasks

where submits_to_first_correct is not null
    and not is_left_censored

group by task_id

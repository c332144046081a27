{#- The graded submits of the last full day, for each learner and task. -#}
{{ config(materialized='ephemeral') }}

select
    user_id,
    task_id,
    count(*) as graded_submits,
    count(*) filter (where is_correct) as correct_submits

from {{ ref('attempts') }}

where activity_date = (select as_of.as_of_day from {{ ref('as_of') }} as as_of)
    and is_correct is not null
    and not is_excluded

group by user_id, task_id

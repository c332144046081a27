{{ config(materialized='view') }}

select
    user_id,
    count(*) as tasks,
    count(first_correct_at) as solved_tasks

from {{ ref('learner_tasks') }}

group by user_id

with attempts as (

    select * from {{ ref('attempts') }}

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

)

select
    attempts.user_id,
    attempts.task_id,
    attempts.attempt_id

from attempts

left join learner_tasks
    on attempts.user_id = learner_tasks.user_id
    and attempts.task_id = learner_tasks.task_id

where {{ unpublished('attempts.record_no') }}
    and not attempts.is_excluded
    and learner_tasks.user_id is null

-- pairs first, or PostgreSQL would look up each attempt of a rebuild by an index
with pairs as (

    select
        user_id,
        task_id,
        count(*) as attempts

    from {{ ref('attempts') }}

    where {{ unpublished('record_no') }}
        and not is_excluded

    group by user_id, task_id

),

learner_tasks as (

    select * from {{ ref('learner_tasks') }}

)

select
    pairs.user_id,
    pairs.task_id,
    pairs.attempts

from pairs

left join learner_tasks
    on pairs.user_id = learner_tasks.user_id
    and pairs.task_id = learner_tasks.task_id

where learner_tasks.user_id is null

{{
    config(
        incremental_strategy='merge',
        unique_key='learner_task_id',
        indexes=[
            {'columns': ['learner_task_id'], 'unique': true},
            {'columns': ['user_id']},
            {'columns': ['first_correct_date', 'attempts_to_first_correct']},
            {'columns': ['record_no']},
        ],
    )
}}

-- `not materialized`: what is read more than once is read by its indexes, not copied as a whole first; `materialized` below: the few
-- attempts of changed tasks are looked up once
with attempts as not materialized (

    select * from {{ ref('attempts') }}

),

{% if is_incremental() -%}

changed as (

    select distinct learner_task_id
    from attempts
    where record_no > {{ last_record_no() }}

),

{% endif -%}

-- only columns of the index by task, so that the attempts of a task, which lie all over the table, need not be fetched from there
attempts_of_tasks as {{ 'materialized' if is_incremental() else 'not materialized' }} (

    select
        attempts.learner_task_id,
        attempts.attempt_type,
        attempts.is_correct,
        attempts.created_at,
        attempts.record_no

    from attempts
    {%- if is_incremental() %}

    inner join changed on attempts.learner_task_id = changed.learner_task_id
    {%- else %}

    -- limits nothing, but keeps PostgreSQL from grouping along the index: it would fetch every attempt from the table in that order
    limit all
    {%- endif %}

),

-- by the id alone: comparing the five texts that it stands for takes longer than all the counting
counted as (

    select
        learner_task_id,
        count(*) as attempts,
        count(*) filter (where attempt_type = 'run') as runs,
        count(*) filter (where attempt_type = 'submit') as submits,
        min(created_at) as first_attempt_at,
        max(created_at) as last_attempt_at,
        min(created_at) filter (where is_correct) as first_correct_at,
        max(record_no) as record_no

    from attempts_of_tasks

    group by learner_task_id

),

attempts_until_correct as (

    select
        counted.learner_task_id,
        count(*) as attempts_to_first_correct

    from counted

    inner join attempts_of_tasks
        on counted.learner_task_id = attempts_of_tasks.learner_task_id
        and counted.first_correct_at >= attempts_of_tasks.created_at

    group by counted.learner_task_id

),

-- the newest attempt of each tells what the id stands for
final as (

    select
        counted.learner_task_id,
        newest.user_id,
        newest.course_key,
        newest.block_id,
        case when newest.course_key is null then newest.lis_result_sourcedid end as unsplit_sourcedid,
        counted.attempts,
        counted.runs,
        counted.submits,
        counted.first_attempt_at,
        counted.last_attempt_at,
        counted.first_correct_at,
        {{ report_date('counted.first_correct_at') }} as first_correct_date,
        attempts_until_correct.attempts_to_first_correct,
        counted.record_no

    from counted

    inner join attempts as newest on counted.record_no = newest.record_no

    left join attempts_until_correct on counted.learner_task_id = attempts_until_correct.learner_task_id

)

select * from final

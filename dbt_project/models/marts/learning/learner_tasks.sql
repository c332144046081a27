{#- Indexes: the key; what was solved on a day, without the table; what changed last. -#}
{{ config(
    materialized='incremental', full_refresh=false, incremental_strategy='publish',
    unique_key=['user_id', 'task_id'],
    indexes=[
        {'columns': ['user_id', 'task_id'], 'unique': true},
        {'columns': ['first_correct_date', 'attempts_to_first_correct']},
        {'columns': ['record_no']},
    ],
) }}

-- `not materialized`: a table that is read twice is read by its indexes, not copied first
with attempts as not materialized (

    -- render(): whole under --sample too, or these figures would not add up to the others
    select * from {{ ref('attempts').render() }}

),

{% if adds_to_itself() %}

changed as (

    select distinct
        user_id,
        task_id

    from attempts

    where record_no > {{ last_record_no() }}

),
{% endif %}

-- all attempts of the pairs of learner and task with a new or corrected one
attempts_of_pairs as not materialized (

    select attempts.*

    from attempts
    {% if adds_to_itself() %}

    inner join changed
        on attempts.user_id = changed.user_id
        and attempts.task_id = changed.task_id
    {% endif %}

),

solved as (

    select
        user_id,
        task_id,
        min(created_at) as first_correct_at

    from attempts_of_pairs

    where is_correct

    group by user_id, task_id

),

final as (

    select
        attempts_of_pairs.user_id,
        attempts_of_pairs.task_id,
        min(attempts_of_pairs.course_key) as course_key,
        min(attempts_of_pairs.block_id) as block_id,
        min(attempts_of_pairs.lis_result_sourcedid) filter (
            where attempts_of_pairs.course_key is null
        ) as unsplit_sourcedid,
        count(*) as attempts,
        count(*) filter (where attempts_of_pairs.attempt_type = 'run') as runs,
        count(*) filter (where attempts_of_pairs.attempt_type = 'submit') as submits,
        min(attempts_of_pairs.created_at) as first_attempt_at,
        max(attempts_of_pairs.created_at) as last_attempt_at,
        min(solved.first_correct_at) as first_correct_at,
        {{ report_date('min(solved.first_correct_at)') }} as first_correct_date,
        nullif(count(*) filter (
            where attempts_of_pairs.created_at <= solved.first_correct_at
        ), 0) as attempts_to_first_correct,
        max(attempts_of_pairs.record_no) as record_no

    from attempts_of_pairs

    left join solved
        on attempts_of_pairs.user_id = solved.user_id
        and attempts_of_pairs.task_id = solved.task_id

    group by attempts_of_pairs.user_id, attempts_of_pairs.task_id

)

select * from final

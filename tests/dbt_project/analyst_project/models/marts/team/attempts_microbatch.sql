{{ config(
    materialized='incremental', incremental_strategy='microbatch',
    event_time='created_at', begin=var('microbatch_begin'), batch_size='day', lookback=9,
    unique_key=['user_id', 'attempt_id'],
) }}

select
    attempt_id,
    user_id,
    created_at,
    is_correct,
    count(*) over () as attempts_of_batch

from {{ ref('attempts') }}

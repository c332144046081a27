{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['user_id', 'attempt_id']) }}

select
    attempt_id,
    user_id,
    created_at,
    is_correct,
    json_build_object('verdict', is_correct) as details,
    record_no

from {{ ref('attempts') }}

{% if is_incremental() %}
where record_no > (select coalesce(max(record_no), 0) from {{ this }})
{% endif %}

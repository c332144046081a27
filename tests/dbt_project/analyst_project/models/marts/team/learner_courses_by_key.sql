{{ config(materialized='incremental', unique_key=['user_id', 'course_key']) }}

select
    user_id,
    course_key,
    count(*) as attempts,
    count(*) filter (where is_correct) as correct_submits,
    max(record_no) as record_no

from {{ ref('attempts') }}

group by user_id, course_key

{% if is_incremental() %}
having max(record_no) > (select coalesce(max(record_no), 0) from {{ this }})
{% endif %}

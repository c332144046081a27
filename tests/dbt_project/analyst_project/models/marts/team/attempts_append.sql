{{ config(materialized='incremental', incremental_strategy='append') }}

select
    user_id,
    created_at,
    activity_date,
    first_record_no

from {{ ref('attempts') }}

{% if is_incremental() %}
where first_record_no > (select coalesce(max(first_record_no), 0) from {{ this }})
{% endif %}

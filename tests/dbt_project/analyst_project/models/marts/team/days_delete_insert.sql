{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='activity_date') }}

with days as (

    select
        activity_date,
        count(*) as attempts,
        count(distinct user_id) as learners,
        max(record_no) as record_no

    from {{ ref('attempts') }}

    group by activity_date

)

select * from days

{% if is_incremental() %}
where record_no > (select coalesce(max(record_no), 0) from {{ this }})
{% endif %}

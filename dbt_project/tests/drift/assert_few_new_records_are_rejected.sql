{{ config(severity='warn') }}

with staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

new_records as (

    select
        count(*) as records,
        count(*) filter (where not is_valid) as rejected

    from staged

    where {{ unpublished('record_no') }}

)

select
    records,
    rejected

from new_records

where records >= {{ var('drift_min_records', 100) }}
    and rejected > {{ var('drift_max_rejected_share', 0.05) }} * records

{{ config(severity='warn') }}

with attempts as (

    select * from {{ ref('attempts') }}

),

new_submits as (

    select
        count(*) as submits,
        count(*) filter (where is_correct is null) as ungraded

    from attempts

    where attempt_type = 'submit'
        and {{ unpublished('record_no') }}

)

select
    submits,
    ungraded

from new_submits

where submits >= {{ var('drift_min_records', 100) }}
    and ungraded > {{ var('drift_max_ungraded_share', 0.05) }} * submits

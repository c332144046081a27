{{ config(severity='warn') }}

with attempts as (

    select * from {{ ref('attempts') }}

),

new_attempts as (

    select
        count(*) as attempts,
        count(*) filter (where course_key is null) as without_course

    from attempts

    where {{ unpublished('record_no') }}

)

select
    attempts,
    without_course

from new_attempts

where attempts >= {{ var('drift_min_records', 100) }}
    and without_course > {{ var('drift_max_unnamed_course_share', 0.05) }} * attempts

with staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

attempts as (

    select * from {{ ref('attempts') }}

),

rejected_attempts as (

    select * from {{ ref('rejected_attempts') }}

)

select
    staged.record_no,
    staged.is_valid

from staged

left join attempts
    on staged.{{ learner_key() }} = attempts.user_id
    and staged.attempt_id = attempts.attempt_id

left join rejected_attempts on staged.rejected_record_id = rejected_attempts.rejected_record_id

where {{ unpublished('staged.record_no') }}
    and attempts.attempt_id is null
    and rejected_attempts.rejected_record_id is null

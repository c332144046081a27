-- Who needs help now, and on what?
-- Read: one row for each learner and task they are stuck on, the longest worked on first. Holds personal
-- data: it reads the schema `learners`.
with as_of as (

    select * from {{ ref('as_of') }}

),

stuck as (

    select * from {{ ref('learner_tasks') }}

    where {{ is_stuck() }}

)

select
    stuck.user_id,
    learner_courses.course_key,
    stuck.block_id,
    stuck.graded_submits as wrong_submits,
    stuck.last_attempt_at,
    round(stuck.active_seconds / 60) as minutes,
    array_to_string(learner_courses.reasons, ', ') as reasons

from stuck

inner join {{ ref('learner_courses') }} as learner_courses
    on stuck.user_id = learner_courses.user_id
    and {{ course('stuck.course_key') }} = learner_courses.course_key

order by stuck.active_seconds desc

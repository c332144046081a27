-- Who needs help now, and on what?
-- Read: one row for each learner and task they are stuck on, the longest worked on first. Holds personal
-- data: it reads the schema `learners`.
select
    learner_courses.user_id,
    learner_courses.course_key,
    array_to_string(learner_courses.reasons, ', ') as reasons,
    learner_tasks.block_id,
    learner_tasks.graded_submits as wrong_submits,
    round(learner_tasks.active_seconds / 60) as minutes,
    learner_tasks.last_attempt_at

from {{ ref('learner_courses') }} as learner_courses

inner join {{ ref('learner_tasks') }} as learner_tasks
    on learner_courses.user_id = learner_tasks.user_id
    and learner_courses.course_key = {{ course('learner_tasks.course_key') }}

cross join {{ ref('as_of') }} as as_of

where learner_courses.stuck
    and {{ is_stuck('as_of.as_of_day') }}

order by learner_tasks.active_seconds desc

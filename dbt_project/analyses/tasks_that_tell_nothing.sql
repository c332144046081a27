-- Which tasks don't tell good learners from others?
-- Read: discrimination is the correlation between the first verdict on the task and the learner's first
-- verdicts on the course's other tasks. Under 0.1, who is good fails as often as who is not: look whether
-- the check judges what the statement asks for.
select
    task_id,
    course_key,
    block_id,
    learners_submitted,
    round(first_submit_success, 2) as first_submit_success,
    round(discrimination::numeric, 2) as discrimination,
    lms_url

from {{ ref('tasks') }}

where discrimination < 0.1

order by discrimination

-- Which tasks should be repaired first?
-- Read: the hours are those that learners spent after a first wrong submit, in the last four weeks. A low
-- first_submit_success with a low discrimination speaks for a bad statement or a wrong check; with a high
-- discrimination the task is hard, and fair.
select
    tasks.repair_rank,
    coalesce(names.title, tasks.block_id) as title,
    tasks.course_key,
    round(tasks.learner_hours_lost_28d, 1) as hours_lost_28d,
    tasks.learners_stuck,
    round(tasks.first_submit_success, 2) as first_submit_success,
    tasks.submits_to_solve_p90,
    round(tasks.discrimination::numeric, 2) as discrimination,
    tasks.lms_url

from {{ ref('tasks') }} as tasks

left join {{ ref('names') }} as names on tasks.task_id = names.key

where tasks.repair_rank <= 20

order by tasks.repair_rank

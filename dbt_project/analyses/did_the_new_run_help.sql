-- Did a task become better from one run of a course to the next?
-- Read: the changes are against the previous run that has the task. Few learners make large changes:
-- `is_small` marks shares over fewer than five.
select
    organisation,
    course,
    block_id,
    run,
    learners,
    round(first_submit_success, 2) as first_submit_success,
    round(first_submit_success_change, 2) as first_submit_success_change,
    round(solve_rate_change, 2) as solve_rate_change

from {{ ref('task_runs') }}

where first_submit_success_change is not null
    and not is_small

order by first_submit_success_change

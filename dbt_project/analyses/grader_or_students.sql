-- Did the grader break yesterday, or do students struggle?
-- Read: `broken`: learners who had solved the task before, or who do well elsewhere, fail now: look at the
-- task's check. `hard`: much worse than usual, but not for those. `passes_everything`: everything is
-- correct where it wasn't. `mute`: submits get no verdict.
select
    kind,
    course_key,
    block_id,
    graded_submits,
    round(success_rate, 2) as success_rate,
    round(baseline_success_rate, 2) as usually,
    solved_before_failing_now,
    round(llr, 1) as llr

from {{ ref('task_incidents') }}

order by llr desc nulls last

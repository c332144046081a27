-- Can the early warning be trusted?
-- Read: of the learners who were silent for a week with an unsolved task, `precision` stayed away for two
-- more weeks; `lift` says how many times more than learners in general. Near 1 the warning says nothing.
select
    week_start,
    candidates,
    flagged,
    vanished,
    round(precision, 2) as precision,
    round(recall, 2) as recall,
    round(base_rate, 2) as base_rate,
    round(lift, 2) as lift

from {{ ref('warning_scorecard') }}

where course_key = '(all)'

order by week_start desc

-- At which hours do learners work?
-- Read: the last four weeks, in the report's time zone; one row for each hour, a column for working days and one
-- for week-ends. Maintenance belongs where both are low, support where submits are many.
select
    hour,
    round(sum(attempts) filter (where weekday <= 5) / 20.0, 1) as attempts_on_a_working_day,
    round(sum(attempts) filter (where weekday >= 6) / 8.0, 1) as attempts_on_a_weekend_day,
    round(sum(submits)::numeric / nullif(sum(attempts), 0), 2) as share_of_submits

from {{ ref('activity_hours') }}

group by hour

order by hour

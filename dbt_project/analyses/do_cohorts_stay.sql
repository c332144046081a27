-- Do newer learners stay longer than earlier ones did?
-- Read: a row for each week of first activity, the share of its learners active 1, 4, 8 and 12 weeks after
-- their own first day. NULL: the cohort has not had the time yet.
select
    cohort_week,
    learners,
    round(max(active_learners::numeric / learners) filter (where weeks_since = 1), 2) as after_1,
    round(max(active_learners::numeric / learners) filter (where weeks_since = 4), 2) as after_4,
    round(max(active_learners::numeric / learners) filter (where weeks_since = 8), 2) as after_8,
    round(max(active_learners::numeric / learners) filter (where weeks_since = 12), 2) as after_12

from {{ ref('cohort_retention') }}

group by cohort_week, learners

order by cohort_week

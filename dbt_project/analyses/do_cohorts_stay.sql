-- Do newer learners stay longer than earlier ones did?
-- Read: a row for each week of first activity, the share of its learners active 1, 4, 8 and 12 weeks after
-- their own first day. NULL: the cohort has not had the time yet.
select
    cohort_week,
    learners,
    {% for week in [1, 4, 8, 12] %}
    round(max(active_learners::numeric / learners) filter (where weeks_since = {{ week }}), 2) as after_{{ week }}{{ ',' if not loop.last }}
    {% endfor %}

from {{ ref('cohort_retention') }}

group by cohort_week, learners

order by cohort_week

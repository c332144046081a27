-- Why is yesterday's success rate not that of a week before?
-- Read: the effects of the courses add up to the whole change, in percentage points; so do those of the
-- tasks. A large effect with much the same graded submits means that the rate of the course itself moved;
-- otherwise its weight did.
select
    dimension,
    key,
    round(100 * success_effect, 2) as effect_in_points,
    graded_submits_before,
    graded_submits,
    round(correct_submits_before::numeric / nullif(graded_submits_before, 0), 3) as success_before,
    round(correct_submits::numeric / nullif(graded_submits, 0), 3) as success

from {{ ref('daily_movers') }}

order by dimension, abs(success_effect) desc nulls last

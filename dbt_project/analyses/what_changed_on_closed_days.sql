-- Which figures that people have already read were changed later, and by how much?
-- Read: one row for each figure that a build published otherwise than an earlier one. Late records raise
-- counts by a little; a large change asks for a word to those who used the figure.
select
    activity_date,
    metric,
    old_value,
    new_value,
    new_value - old_value as difference,
    revised_at

from {{ ref('day_revisions') }}

order by revised_at desc, activity_date desc, metric asc

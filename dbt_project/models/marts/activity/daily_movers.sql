{%- set key = ['dimension', 'key'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

attempts as (

    select
        *,
        activity_date = (select as_of.as_of_day from as_of) as is_now

    from {{ ref('attempts').render() }}

    where activity_date in ((select as_of.as_of_day from as_of), (select as_of.as_of_day - 7 from as_of))
        and not is_excluded

),

keyed as (

    select
        attempts.*,
        dimensions.dimension,
        dimensions.key

    from attempts

    cross join lateral (
        values ('course', {{ course('attempts.course_key') }}), ('task', attempts.task_id)
    ) as dimensions (dimension, key)

),

counts as (

    select
        dimension,
        key,
        count(*) filter (where is_now) as attempts,
        count(*) filter (where not is_now) as attempts_before,
        count(is_correct) filter (where is_now) as graded_submits,
        count(is_correct) filter (where not is_now) as graded_submits_before,
        count(*) filter (where is_now and is_correct) as correct_submits,
        count(*) filter (where not is_now and is_correct) as correct_submits_before,
        count(distinct user_id) filter (where is_now) as unique_users,
        count(distinct user_id) filter (where not is_now) as unique_users_before

    from keyed

    group by dimension, key

),

-- the success rate of the key, its share of the graded submits, and the whole success rate
rates as (

    select
        *,
        {{ ratio('correct_submits', 'graded_submits') }} as rate,
        {{ ratio('correct_submits_before', 'graded_submits_before') }} as rate_before,
        {{ ratio('graded_submits', 'sum(graded_submits) over whole') }} as weight,
        {{ ratio('graded_submits_before', 'sum(graded_submits_before) over whole') }} as weight_before,
        sum(correct_submits) over whole / nullif(sum(graded_submits) over whole, 0) as whole_rate,
        sum(correct_submits_before) over whole / nullif(sum(graded_submits_before) over whole, 0) as whole_rate_before

    from counts

    window whole as (partition by dimension)

),

-- a key without graded submits on one of the days has the rate of the other; without any it moves
-- nothing
filled as (

    select
        *,
        coalesce(rate, rate_before, 0) as r1,
        coalesce(rate_before, rate, 0) as r0

    from rates

)

select
    dimension,
    key,
    attempts,
    attempts_before,
    graded_submits,
    graded_submits_before,
    correct_submits,
    correct_submits_before,
    unique_users,
    unique_users_before,
    (r1 - r0) * (weight_before + weight) / 2
    + (weight - weight_before) * ((r0 + r1) / 2 - (whole_rate_before + whole_rate) / 2) as success_effect,
    least(unique_users, unique_users_before) < 5 as is_small

from filled

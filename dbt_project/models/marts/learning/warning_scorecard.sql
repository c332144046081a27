{%- set key = ['week_start', 'course_key'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

-- the newest Mondays that two full weeks have followed
weeks as (

    select {{ first_day_of('week', 'as_of.as_of_day - 13') }} - 7 * back.weeks as week_start

    from as_of

    cross join generate_series(0, 25) as back (weeks)

),

active_weeks as (

    select distinct
        user_id,
        course_key,
        {{ first_day_of('week', 'activity_date') }} as active_week

    from {{ ref('int_learner_course_days') }}

),

-- who was active in the four weeks before
candidates as (

    select
        weeks.week_start,
        active_weeks.user_id,
        active_weeks.course_key,
        bool_and(active_weeks.active_week <> weeks.week_start - 7) as is_silent,
        bool_and(active_weeks.active_week < weeks.week_start) as has_vanished

    from weeks

    inner join active_weeks
        on active_weeks.active_week between weeks.week_start - 28 and weeks.week_start + 7

    group by weeks.week_start, active_weeks.user_id, active_weeks.course_key

    having bool_or(active_weeks.active_week < weeks.week_start)

),

pairs as (

    select
        user_id,
        {{ course('course_key') }} as course_key,
        {{ report_date('first_graded_at') }} as first_graded_date,
        coalesce(first_correct_date, 'infinity') as first_correct_date

    from {{ ref('learner_tasks') }}

    where first_graded_at is not null

),

-- silent with a task that was tried and not solved by then
flagged as (

    select distinct
        candidates.week_start,
        candidates.user_id,
        candidates.course_key

    from candidates

    inner join pairs
        on candidates.user_id = pairs.user_id
        and candidates.course_key = pairs.course_key
        and candidates.week_start > pairs.first_graded_date
        and candidates.week_start <= pairs.first_correct_date

    where candidates.is_silent

),

counts as (

    select
        candidates.week_start,
        coalesce(candidates.course_key, '(all)') as course_key,
        count(*) as candidates,
        count(flagged.user_id) as flagged,
        count(*) filter (where candidates.has_vanished) as vanished,
        count(flagged.user_id) filter (where candidates.has_vanished) as flagged_vanished

    from candidates

    left join flagged
        on candidates.week_start = flagged.week_start
        and candidates.user_id = flagged.user_id
        and candidates.course_key = flagged.course_key

    group by grouping sets ((candidates.week_start, candidates.course_key), (candidates.week_start))

)

select
    *,
    {{ ratio('flagged_vanished', 'flagged') }} as precision,
    {{ ratio('flagged_vanished', 'vanished') }} as recall,
    {{ ratio('vanished', 'candidates') }} as base_rate,
    flagged_vanished::numeric * candidates / nullif(flagged * vanished, 0) as lift,
    candidates < 5 as is_small

from counts

{%- set key = ['cohort_week', 'weeks_since'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

days as (

    select
        user_id,
        activity_date,
        min(activity_date) over (partition by user_id) as first_day

    from {{ ref('int_learner_course_days') }}

),

active as (

    select
        {{ first_day_of('week', 'first_day') }} as cohort_week,
        (activity_date - first_day) / 7 as weeks_since,
        count(distinct user_id) as active_learners

    from days

    group by {{ first_day_of('week', 'first_day') }}, (activity_date - first_day) / 7

),

-- every learner is active in the first week
cohorts as (

    select
        active.cohort_week,
        active.active_learners as learners

    from active

    cross join as_of

    where active.weeks_since = 0
        and {{ day_begins('active.cohort_week') }} >= as_of.history_from + interval '168 hours'

)

select
    cohorts.cohort_week,
    weeks.weeks_since,
    cohorts.learners,
    coalesce(active.active_learners, 0) as active_learners,
    cohorts.learners < 5 as is_small

from cohorts

cross join generate_series(0, 25) as weeks (weeks_since)

cross join as_of

left join active
    on cohorts.cohort_week = active.cohort_week
    and weeks.weeks_since = active.weeks_since

where cohorts.cohort_week + 7 * weeks.weeks_since + 12 <= as_of.as_of_day

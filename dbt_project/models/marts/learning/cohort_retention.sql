{%- set key = ['cohort_week', 'weeks_since'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}
{%- set first_day = first_new_day(ref('int_learner_course_days')) %}

with as_of as (

    select * from {{ ref('as_of') }}

),

learner_course_days as not materialized (

    select * from {{ ref('int_learner_course_days') }}

),

learners as (

    select
        user_id,
        min(first_day) as first_day

    from {{ ref('int_learner_course_totals') }}

    group by user_id

),

cohorts as (

    select
        {{ first_day_of('week', 'first_day') }} as cohort_week,
        count(*) as learners

    from learners

    group by {{ first_day_of('week', 'first_day') }}

),

-- the weeks that whole cohorts have had, those counted before as they were counted
weeks as (

    select
        cohorts.cohort_week,
        back.weeks_since,
        cohorts.learners,
        {{ 'known.active_learners' if adds_to_itself() else 'null::bigint' }} as known_learners,
        {{ 'known.record_no' if adds_to_itself() else 'null::bigint' }} as record_no

    from cohorts

    cross join generate_series(0, 25) as back (weeks_since)

    inner join as_of
        on cohorts.cohort_week + 7 * back.weeks_since + 12 <= as_of.as_of_day
        and {{ day_begins('cohorts.cohort_week') }} >= as_of.history_from + interval '168 hours'
    {% if adds_to_itself() %}

    -- unless something new came of a day before the week was over
    left join {{ this }} as known
        on cohorts.cohort_week = known.cohort_week
        and back.weeks_since = known.weeks_since
        and known.cohort_week + 7 * known.weeks_since + 12 < date '{{ first_day }}'
    {% endif %}

),

-- a learner's weeks
active_weeks as (

    select distinct
        learners.user_id,
        learners.first_day,
        (learner_course_days.activity_date - learners.first_day) / 7 as weeks_since

    from learner_course_days

    inner join learners on learner_course_days.user_id = learners.user_id

    -- the days of the weeks to count
    where
        learner_course_days.activity_date >= (
            select min(weeks.cohort_week + 7 * weeks.weeks_since) from weeks
            where weeks.known_learners is null
        )

),

active as (

    select
        {{ first_day_of('week', 'first_day') }} as cohort_week,
        weeks_since,
        count(*) as active_learners

    from active_weeks

    group by {{ first_day_of('week', 'first_day') }}, weeks_since

)

select
    weeks.cohort_week,
    weeks.weeks_since,
    weeks.learners,
    coalesce(weeks.known_learners, active.active_learners, 0) as active_learners,
    weeks.learners < 5 as is_small,
    coalesce(
        weeks.record_no, (select max(learner_course_days.record_no) from learner_course_days)
    ) as record_no

from weeks

left join active
    on weeks.cohort_week = active.cohort_week
    and weeks.weeks_since = active.weeks_since

{%- set key = ['week_start', 'course_key'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}
{#- A Monday is judged by the two weeks from it on. -#}
{%- set first_week = first_changed_day(ref('int_learner_course_days'), 'week_start', 'week', later=7) %}

with as_of as (

    select * from {{ ref('as_of') }}

),

warnings as (

    select * from {{ ref('int_warnings') }}

    where week_start >= date '{{ first_week }}'

),

records as (

    select max(record_no) as record_no from {{ ref('int_learner_course_days') }}

),

counts as (

    select
        warnings.week_start,
        coalesce(warnings.course_key, '(all)') as course_key,
        count(*) as candidates,
        count(*) filter (where warnings.is_flagged) as flagged,
        count(*) filter (where warnings.has_vanished) as vanished,
        count(*) filter (where warnings.is_flagged and warnings.has_vanished) as flagged_vanished,
        min(records.record_no) as record_no

    from warnings

    cross join records

    group by grouping sets ((warnings.week_start, warnings.course_key), (warnings.week_start))
    {% if adds_to_itself() %}

    -- the Mondays before stay as they were judged, the 26 newest in all
    union all

    select
        week_start,
        course_key,
        candidates,
        flagged,
        vanished,
        flagged_vanished,
        record_no

    from {{ this }}

    where week_start < date '{{ first_week }}'
        and week_start > (select {{ first_day_of('week', 'as_of.as_of_day - 13') }} - 7 * 26 from as_of)
    {% endif %}

)

select
    week_start,
    course_key,
    candidates,
    flagged,
    vanished,
    flagged_vanished,
    {{ ratio('flagged_vanished', 'flagged') }} as precision,
    {{ ratio('flagged_vanished', 'vanished') }} as recall,
    {{ ratio('vanished', 'candidates') }} as base_rate,
    flagged_vanished::numeric * candidates / nullif(flagged * vanished, 0) as lift,
    candidates < 5 as is_small,
    record_no

from counts

{%- set key = ['weekday', 'hour'] -%}
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
        created_at at time zone '{{ report_timezone() }}' as local_time

    from {{ ref('attempts').render() }}

    where activity_date between (select as_of.as_of_day - 27 from as_of) and (select as_of.as_of_day from as_of)
        and not is_excluded

),

counts as (

    select
        extract(isodow from local_time)::int as weekday,
        extract(hour from local_time)::int as hour,
        count(*) as attempts,
        count(*) filter (where attempt_type = 'submit') as submits,
        count(distinct user_id) as unique_users

    from attempts

    group by extract(isodow from local_time)::int, extract(hour from local_time)::int

)

select
    weekdays.weekday,
    hours.hour,
    coalesce(counts.attempts, 0) as attempts,
    coalesce(counts.submits, 0) as submits,
    coalesce(counts.unique_users, 0) as unique_users

from generate_series(1, 7) as weekdays (weekday)

cross join generate_series(0, 23) as hours (hour)

left join counts
    on weekdays.weekday = counts.weekday
    and hours.hour = counts.hour

{{ config(severity='warn') }}

with daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

latest as (

    select as_of_day as last_full_day from {{ ref('as_of') }}

),

compared as (

    select
        latest.last_full_day,
        coalesce(sum(daily_metrics.attempts) filter (
            where daily_metrics.activity_date = latest.last_full_day
        ), 0) as attempts,
        coalesce(sum(daily_metrics.attempts) filter (
            where daily_metrics.activity_date < latest.last_full_day
        ), 0) as attempts_of_the_week_before

    from latest

    inner join daily_metrics on daily_metrics.activity_date between latest.last_full_day - 7 and latest.last_full_day

    group by latest.last_full_day

)

select
    last_full_day,
    attempts,
    attempts_of_the_week_before

from compared

where attempts = 0
    and attempts_of_the_week_before >= 7 * {{ var('drift_min_records', 100) }}

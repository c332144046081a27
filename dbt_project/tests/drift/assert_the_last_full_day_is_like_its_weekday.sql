{{ config(severity='warn') }}

with daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

latest as (

    select as_of_day as last_full_day from {{ ref('as_of') }}

),

weekdays_before as (

    select
        latest.last_full_day,
        percentile_cont(0.5) within group (order by daily_metrics.attempts) as usual_attempts

    from latest

    inner join daily_metrics
        on daily_metrics.activity_date in (
            latest.last_full_day - 7,
            latest.last_full_day - 14,
            latest.last_full_day - 21,
            latest.last_full_day - 28
        )

    group by latest.last_full_day

    having count(*) = 4

),

days as (

    select
        daily_metrics.activity_date,
        daily_metrics.attempts,
        day_before.attempts as attempts_of_the_day_before,
        weekdays_before.usual_attempts

    from weekdays_before

    inner join daily_metrics on weekdays_before.last_full_day = daily_metrics.activity_date

    inner join daily_metrics as day_before on weekdays_before.last_full_day = day_before.activity_date + 1

)

select
    activity_date,
    attempts,
    attempts_of_the_day_before,
    usual_attempts

from days

where usual_attempts >= {{ var('drift_min_records', 100) }}
    and attempts > 0
    and (
        attempts > {{ var('drift_max_daily_change', 4) }} * greatest(attempts_of_the_day_before, usual_attempts)
        or attempts * {{ var('drift_max_daily_change', 4) }} < least(attempts_of_the_day_before, usual_attempts)
    )

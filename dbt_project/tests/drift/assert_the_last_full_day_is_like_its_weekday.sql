{{ config(severity='warn') }}

with daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

latest as (

    {{ last_full_day() }}

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

)

select
    daily_metrics.activity_date,
    daily_metrics.attempts,
    weekdays_before.usual_attempts

from weekdays_before

inner join daily_metrics on weekdays_before.last_full_day = daily_metrics.activity_date

where weekdays_before.usual_attempts >= {{ var('drift_min_records', 100) }}
    and daily_metrics.attempts > 0
    and (
        daily_metrics.attempts > weekdays_before.usual_attempts * {{ var('drift_max_daily_change', 4) }}
        or daily_metrics.attempts * {{ var('drift_max_daily_change', 4) }} < weekdays_before.usual_attempts
    )

with attempts as (

    select * from {{ ref('attempts') }}

),

daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

changed_days as (

    select distinct activity_date

    from attempts

    where {{ unpublished('record_no') }}

),

counted as (

    select
        activity_date,
        count(*) as attempts

    from attempts

    where activity_date in (select changed_days.activity_date from changed_days)

    group by activity_date

)

select
    counted.activity_date,
    counted.attempts as attempts_made,
    daily_metrics.attempts as attempts_in_daily_metrics

from counted

left join daily_metrics on counted.activity_date = daily_metrics.activity_date

where counted.attempts is distinct from daily_metrics.attempts

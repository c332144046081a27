-- Read twice: without `not materialized` PostgreSQL would copy the whole table first.
with attempts as not materialized (

    select * from {{ ref('attempts') }}

    where not is_excluded

),

daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

changed_days as materialized (

    select distinct activity_date

    from attempts

    where {{ unpublished('record_no') }}

),

-- day by day, so that the index on the day is used however many there are
counted as (

    select
        changed_days.activity_date,
        of_day.attempts

    from changed_days

    cross join lateral (
        select count(*) as attempts
        from attempts
        where attempts.activity_date = changed_days.activity_date
    ) as of_day

)

select
    counted.activity_date,
    counted.attempts as attempts_made,
    daily_metrics.attempts as attempts_in_daily_metrics

from counted

left join daily_metrics on counted.activity_date = daily_metrics.activity_date

where counted.attempts is distinct from daily_metrics.attempts

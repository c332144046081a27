with daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

following as (

    select
        activity_date,
        lead(activity_date) over (order by activity_date) as next_date

    from daily_metrics

)

select
    activity_date as day_before_the_gap,
    next_date as day_after_the_gap

from following

where next_date <> activity_date + 1

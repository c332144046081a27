{#- What is judged of each day up to the last full one, a row for each day and figure. -#}
{{ config(materialized='ephemeral') }}

with load_receipts as (

    select * from {{ ref('load_receipts') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

-- days without an attempt after the last one with one have no metrics, and are days all the same
days as (

    select
        daily_metrics.activity_date,
        daily_metrics.attempts,
        daily_metrics.unique_users,
        daily_metrics.success_rate

    from daily_metrics

    inner join as_of on daily_metrics.activity_date <= as_of.as_of_day

    union all

    select
        quiet.day::date as activity_date,
        0 as attempts,
        0 as unique_users,
        null as success_rate

    from (select max(activity_date) + 1 as first_day from daily_metrics) as after_last

    cross join as_of

    cross join lateral generate_series(
        after_last.first_day::timestamp, as_of.as_of_day::timestamp, interval '1 day'
    ) as quiet (day)

),

-- a load counts for the day before the one on which it began
loads as (

    select
        _dlt_load_id,
        {{ report_date('min(fetched_at)') }} - 1 as activity_date

    from {{ ref('stg_grader__fetches') }}

    group by _dlt_load_id

),

rejections as (

    select
        loads.activity_date,
        sum(load_receipts.rejected) as rejected,
        sum(load_receipts.accepted + load_receipts.rejected) as new_records

    from loads

    inner join load_receipts on loads._dlt_load_id = load_receipts._dlt_load_id

    group by loads.activity_date

)

select
    days.activity_date,
    figures.metric,
    figures.value,
    rejections.new_records

from days

left join rejections on days.activity_date = rejections.activity_date

cross join lateral (
    values
    ('attempts', days.attempts::numeric),
    ('unique_users', days.unique_users),
    ('success_rate', days.success_rate),
    ('rejected_share', {{ ratio('rejections.rejected', 'rejections.new_records') }})
) as figures (metric, value)

with excluded_learners as (

    select * from {{ ref('excluded_learners') }}

),

load_receipts as (

    select * from {{ ref('load_receipts') }}

),

daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

rejected_attempts as (

    select * from {{ ref('rejected_attempts') }}

),

receipts as (

    select
        coalesce(sum(accepted), 0) as accepted,
        coalesce(sum(rejected), 0) as rejected

    from load_receipts

),

days as (

    select coalesce(sum(attempts), 0) as attempts

    from daily_metrics

),

-- found by the index on learners
excluded as (

    select count(*) as attempts

    from {{ ref('attempts') }}

    where user_id in (select excluded_learners.user_id from excluded_learners)

),

rejections as (

    select count(*) as records

    from rejected_attempts

)

select
    receipts.accepted as accepted_in_receipts,
    days.attempts as attempts_in_daily_metrics,
    excluded.attempts as excluded_attempts,
    receipts.rejected as rejected_in_receipts,
    rejections.records as rejected_attempts

from receipts

cross join days

cross join excluded

cross join rejections

where receipts.accepted <> days.attempts + excluded.attempts
    or receipts.rejected <> rejections.records

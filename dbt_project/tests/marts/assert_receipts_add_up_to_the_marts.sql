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

learner_course_days as not materialized (

    select * from {{ ref('int_learner_course_days') }}

),

forgotten as (

    select
        coalesce(sum(accepted), 0) as accepted,
        coalesce(sum(rejected), 0) as rejected

    from {{ ref('stg_grader__removals') }}

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

-- published days keep a forgotten learner until they are counted anew, the facts don't; only then are they read
facts as (

    select
        case
            when forgotten.accepted = 0 then days.attempts
            else (select coalesce(sum(learner_course_days.attempts), 0) from learner_course_days)
        end as attempts

    from days

    cross join forgotten

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
    forgotten.accepted as accepted_and_forgotten,
    days.attempts as attempts_in_daily_metrics,
    facts.attempts as attempts_in_facts,
    excluded.attempts as excluded_attempts,
    receipts.rejected as rejected_in_receipts,
    forgotten.rejected as rejected_and_forgotten,
    rejections.records as rejected_attempts

from receipts

cross join forgotten

cross join days

cross join facts

cross join excluded

cross join rejections

where receipts.accepted - forgotten.accepted <> facts.attempts + excluded.attempts
    or days.attempts not between facts.attempts and facts.attempts + forgotten.accepted
    or receipts.rejected - forgotten.rejected <> rejections.records

{#- The figures of the days that are over: what the snapshot keeps of each build. -#}
{{ config(materialized='ephemeral') }}

with daily_metrics as (

    select * from {{ ref('daily_metrics') }}

),

as_of as (

    select * from {{ ref('as_of') }}

)

select
    daily_metrics.activity_date,
    daily_metrics.attempts,
    daily_metrics.runs,
    daily_metrics.submits,
    daily_metrics.correct_submits,
    daily_metrics.success_rate,
    daily_metrics.unique_users,
    daily_metrics.attempts_per_user,
    daily_metrics.users_without_correct,
    daily_metrics.avg_attempts_to_first_correct,
    daily_metrics.new_users,
    daily_metrics.unique_users_7d,
    daily_metrics.unique_users_30d,
    daily_metrics.graded_submits,
    -- the instant of this build, the same in all of it; dbt keeps its instants without a zone
    now() at time zone 'UTC' as built_at

from daily_metrics

inner join as_of on daily_metrics.activity_date <= as_of.as_of_day

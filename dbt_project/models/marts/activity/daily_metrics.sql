{{ config(
    incremental_strategy='publish',
    unique_key='activity_date',
    indexes=[{'columns': ['activity_date'], 'unique': true}],
) }}
{%- set first_day = first_changed_day(ref('int_learner_course_days')) %}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

-- a row for each learner and day to compute, and for the 29 days before, which are looked back over
activity as (

    select
        *,
        lead(activity_date) over (partition by user_id order by activity_date) as next_date

    from ({{ learner_days("date '" ~ first_day ~ "' - 29") }}) as learner_days

),

calendar as (

    {{ days_from(first_day, 'activity') }}

),

counts as (

    select
        calendar.activity_date,
        {{ set_counts() }},
        max(activity.record_no) as record_no

    from calendar
    left join activity on calendar.activity_date = activity.activity_date

    group by calendar.activity_date

),

new_users as (

    {{ new_users('day', 'activity_date', first_day) }}

),

first_correct as (

    select
        first_correct_date as activity_date,
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks
    where first_correct_date >= date '{{ first_day }}'

    group by first_correct_date

),

rolling as (

    {{ rolling_uniques('activity') }}

)

select
    counts.activity_date,
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    coalesce(new_users.new_users, 0) as new_users,
    rolling.unique_users_7d::bigint as unique_users_7d,
    rolling.unique_users_30d::bigint as unique_users_30d,
    counts.graded_submits,
    counts.record_no

from counts
inner join rolling on counts.activity_date = rolling.activity_date
left join new_users on counts.activity_date = new_users.activity_date
left join first_correct on counts.activity_date = first_correct.activity_date

{{ config(
    incremental_strategy='publish',
    unique_key='activity_date',
    indexes=[{'columns': ['activity_date'], 'unique': true}],
) }}
{%- set first_day = first_changed_day(ref('int_learner_course_days')) %}

with learner_tasks as (

    select * from {{ ref('learner_tasks') }}

),

-- the days to compute, and the 29 before, which are looked back over
activity as {{ gathered(otherwise='not materialized') }} (

    select * from {{ ref('int_learner_course_days') }}

    where activity_date >= date '{{ first_day }}' - 29

),

calendar as (

    {{ days_from(first_day, 'activity') }}

),

-- a learner's day, whatever the course
learner_days as (

    select
        user_id,
        activity_date,
        {{ sums_of_counts() }},
        max(record_no) as record_no

    from activity
    where activity_date >= date '{{ first_day }}'

    group by user_id, activity_date

),

counts as (

    select
        activity_date,
        {{ set_counts() }},
        max(record_no) as record_no

    from ({{ with_every_day('learner_days') }}) as every_day

    group by activity_date

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

-- whoever was in two courses on a day is next active on that same day, and so counts once
next_days as (

    select
        activity_date,
        next_date,
        count(*) as learners

    from (
        select
            activity_date,
            lead(activity_date) over (partition by user_id order by activity_date) as next_date
        from activity
    ) as active_days

    group by activity_date, next_date

),

rolling as (

    {{ rolling_uniques('next_days') }}

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

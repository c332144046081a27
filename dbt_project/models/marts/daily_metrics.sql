{{
    config(
        incremental_strategy='merge',
        unique_key='activity_date',
        indexes=[{'columns': ['activity_date'], 'unique': true}],
    )
}}

{%- set after = last_record_no() %}

-- `not materialized` here and below: what is read more than once is read by its indexes, not copied as a whole first
with learner_days as not materialized (

    select * from {{ ref('int_learner_days') }}

),

learner_tasks as not materialized (

    select * from {{ ref('learner_tasks') }}

),

attempts as not materialized (

    select * from {{ ref('attempts') }}

),

calendar as (

    select day::date as activity_date

    from generate_series(
        (select min(learner_days.activity_date) from learner_days)::timestamp,
        (select max(learner_days.activity_date) from learner_days)::timestamp,
        interval '1 day'
    ) as days (day)

),

{% if is_incremental() -%}

changed_learner_days as (

    select
        user_id,
        activity_date

    from learner_days

    where record_no > {{ after }}

),

-- a day's figures depend on its own attempts, on those of the 29 days before it (unique users of 7 and 30 days), on whether a
-- learner was there earlier (new users), and on all attempts of the tasks first solved on it
touched as (

    select changed.activity_date + days.after as activity_date
    from (select distinct changed_learner_days.activity_date from changed_learner_days) as changed
    cross join generate_series(0, 29) as days (after)

    union

    select next_day.activity_date
    from changed_learner_days
    cross join lateral (
        select min(learner_days.activity_date) as activity_date
        from learner_days
        where learner_days.user_id = changed_learner_days.user_id
            and learner_days.activity_date > changed_learner_days.activity_date
    ) as next_day

    union

    select attempts.activity_date
    from learner_tasks
    inner join attempts on learner_tasks.learner_task_id = attempts.learner_task_id
    where learner_tasks.record_no > {{ after }}
        and attempts.is_correct

    union

    select calendar.activity_date
    from calendar
    where calendar.activity_date not in (select known.activity_date from {{ this }} as known)

),

{% endif -%}

days as materialized (

    select activity_date
    from calendar
    {%- if is_incremental() %}
    where activity_date in (select touched.activity_date from touched)
    {%- endif %}

),

counts as (

    select
        days.activity_date,
        {{ set_counts() }},
        max(learner_days.record_no) as record_no

    from days

    left join learner_days on days.activity_date = learner_days.activity_date

    group by days.activity_date

),

first_correct as (

    select
        first_correct_date as activity_date,
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks

    where first_correct_date in (select days.activity_date from days)

    group by first_correct_date

),

-- the learner-days that can count towards the touched days, each with its learner's next one
activity as materialized (

    select
        learner_days.user_id,
        learner_days.activity_date,
        lead(learner_days.activity_date) over of_learner as next_date,
        lag(learner_days.activity_date) over of_learner as previous_date

    from learner_days

    where learner_days.activity_date between (select min(days.activity_date) from days) - 29 and (select max(days.activity_date) from days)

    window of_learner as (partition by learner_days.user_id order by learner_days.activity_date)

),

new_users as (

    select
        activity.activity_date,
        count(*) as new_users

    from activity

    where activity.previous_date is null
        and not exists (
            select 1
            from learner_days as earlier
            where earlier.user_id = activity.user_id
                and earlier.activity_date < activity.activity_date
        )

    group by activity.activity_date

),

-- a learner counts as unique for n days from each active day on, or until the next active day takes over
comings_and_goings as (

    select
        activity_date,
        1 as change_7d,
        1 as change_30d
    from activity

    union all

    select
        least(activity_date + 7, next_date),
        -1,
        0
    from activity

    union all

    select
        least(activity_date + 30, next_date),
        0,
        -1
    from activity

),

rolling as (

    select
        activity_date,
        sum(sum(change_7d)) over (order by activity_date) as unique_users_7d,
        sum(sum(change_30d)) over (order by activity_date) as unique_users_30d

    from comings_and_goings

    group by activity_date

),

final as (

    select
        counts.activity_date,
        counts.attempts,
        counts.runs,
        counts.submits,
        counts.correct_submits,
        {{ success_rate('counts') }} as success_rate,
        counts.unique_users,
        {{ attempts_per_user('counts') }} as attempts_per_user,
        counts.users_without_correct,
        first_correct.avg_attempts_to_first_correct,
        coalesce(new_users.new_users, 0) as new_users,
        rolling_on.unique_users_7d::bigint as unique_users_7d,
        rolling_on.unique_users_30d::bigint as unique_users_30d,
        counts.graded_submits,
        counts.record_no

    from counts

    left join first_correct on counts.activity_date = first_correct.activity_date

    left join new_users on counts.activity_date = new_users.activity_date

    left join lateral (
        select
            rolling.unique_users_7d,
            rolling.unique_users_30d
        from rolling
        where rolling.activity_date <= counts.activity_date
        order by rolling.activity_date desc
        limit 1
    ) as rolling_on on true

)

select * from final

{{
    config(
        incremental_strategy='merge',
        unique_key='activity_date',
        indexes=[{'columns': ['activity_date'], 'unique': true}],
    )
}}

{#- asked once: each answer is a query -#}
{%- set incremental = is_incremental() %}
{%- set after = last_record_no() %}
{%- set last_known_day = last_known_day() %}

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

{% if incremental -%}

known as not materialized (

    select * from {{ this }}

),

changed_learner_days as materialized (

    select
        user_id,
        activity_date,
        first_record_no > {{ after }} as is_new

    from learner_days

    where record_no > {{ after }}

),

-- a task whose first correct submit, or the number of attempts up to it, may have changed, with the days where it counts now and
-- counted before; what comes after a first correct submit changes neither
solved_anew as (

    select
        learner_tasks.first_correct_date,
        {{ report_date('history.first_known_correct_at') }} as first_known_correct_date

    from learner_tasks

    cross join lateral (
        select
            min(attempts.created_at) filter (where attempts.record_no > {{ after }}) as first_change_at,
            min(attempts.created_at) filter (where attempts.is_correct and attempts.record_no <= {{ after }}) as first_known_correct_at
        from attempts
        where attempts.learner_task_id = learner_tasks.learner_task_id
    ) as history

    where learner_tasks.record_no > {{ after }}
        and (history.first_known_correct_at is null or history.first_change_at <= history.first_known_correct_at)

),

{% endif -%}

-- days that are counted from their learners
counted_days as materialized (

    select activity_date
    from calendar
    {%- if incremental %}
    where activity_date not in (select known.activity_date from known)

    union

    select activity_date
    from changed_learner_days

    union

    select first_correct_date
    from solved_anew
    where first_correct_date is not null

    union

    select first_known_correct_date
    from solved_anew
    where first_known_correct_date is not null
    {%- endif %}

),

-- as an array: the planner takes it for a few days and looks them up by index, where a join would be planned for many more
learner_days_counted as (

    select * from learner_days
    {%- if incremental %}

    where activity_date = any(array(select counted_days.activity_date from counted_days))
    {%- endif %}

),

counts as (

    select
        counted_days.activity_date,
        {{ set_counts() }},
        max(learner_days_counted.record_no) as record_no

    from counted_days

    left join learner_days_counted on counted_days.activity_date = learner_days_counted.activity_date

    group by counted_days.activity_date

),

first_correct as (

    select
        first_correct_date as activity_date,
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks

    where first_correct_date is not null
    {%- if incremental %}
        and first_correct_date = any(array(select counted_days.activity_date from counted_days))
    {%- endif %}

    group by first_correct_date

),

-- from here on, what depends on other days: first for the days after those known, from all learners who can count there
later_learner_days as materialized (

    select
        user_id,
        activity_date

    from learner_days

    where activity_date > date '{{ last_known_day }}' - 29

),

later_activity as materialized (

    select
        user_id,
        activity_date,
        lead(activity_date) over of_learner as next_date,
        lag(activity_date) over of_learner as previous_date

    from later_learner_days

    window of_learner as (partition by user_id order by activity_date)

),

later_new_users as (

    select
        activity_date,
        count(*) as new_users

    from later_activity

    where activity_date > date '{{ last_known_day }}'
        and previous_date is null
        and not exists (
            select 1
            from learner_days as earlier
            where earlier.user_id = later_activity.user_id
                and earlier.activity_date < later_activity.activity_date
        )

    group by activity_date

),

later_uniques as (

    {{ rolling_uniques('later_activity') }}

),

{% if incremental -%}

-- then for the days known: who comes in late changes them, by what that learner alone changes
late_learner_days as materialized (

    select
        user_id,
        activity_date

    from changed_learner_days

    where is_new
        and activity_date <= date '{{ last_known_day }}'

),

-- the late ones and what was there already, as far as it lies within 30 days of one
days_around as materialized (

    select distinct
        learner_days.user_id,
        learner_days.activity_date,
        learner_days.first_record_no <= {{ after }} as was_known

    from late_learner_days

    inner join learner_days
        on late_learner_days.user_id = learner_days.user_id
        and learner_days.activity_date between late_learner_days.activity_date - 29 and late_learner_days.activity_date + 29

),

activity_now as (

    select
        activity_date,
        lead(activity_date) over (partition by user_id order by activity_date) as next_date

    from days_around

),

activity_before as (

    select
        activity_date,
        lead(activity_date) over (partition by user_id order by activity_date) as next_date

    from days_around

    where was_known

),

uniques_now as (

    {{ rolling_uniques('activity_now') }}

),

uniques_before as (

    {{ rolling_uniques('activity_before') }}

),

late_learners as (

    select
        firsts.first_date,
        firsts.first_known_date

    from (select distinct late_learner_days.user_id from late_learner_days) as late

    cross join lateral (
        select
            min(learner_days.activity_date) as first_date,
            min(learner_days.activity_date) filter (where learner_days.first_record_no <= {{ after }}) as first_known_date
        from learner_days
        where learner_days.user_id = late.user_id
    ) as firsts

    where firsts.first_date is distinct from firsts.first_known_date

),

more_new_users as (

    select
        activity_date,
        sum(change) as new_users

    from (
        select
            first_date as activity_date,
            1 as change
        from late_learners

        union all

        select
            first_known_date,
            -1
        from late_learners
    ) as changes

    group by activity_date

),

moved as (

    select
        calendar.activity_date,
        coalesce(known.new_users, 0) + coalesce(more_new_users.new_users, 0) as new_users,
        coalesce(known.unique_users_7d, 0) + uniques_now.unique_users_7d - uniques_before.unique_users_7d as unique_users_7d,
        coalesce(known.unique_users_30d, 0) + uniques_now.unique_users_30d - uniques_before.unique_users_30d as unique_users_30d

    from calendar

    inner join uniques_now on calendar.activity_date = uniques_now.activity_date

    inner join uniques_before on calendar.activity_date = uniques_before.activity_date

    left join known on calendar.activity_date = known.activity_date

    left join more_new_users on calendar.activity_date = more_new_users.activity_date

    where calendar.activity_date <= date '{{ last_known_day }}'

),

{% endif -%}

counted as (

    select
        counts.activity_date,
        counts.attempts,
        counts.runs,
        counts.submits,
        counts.graded_submits,
        counts.correct_submits,
        counts.unique_users,
        counts.users_without_correct,
        first_correct.avg_attempts_to_first_correct,
        counts.record_no

    from counts

    left join first_correct on counts.activity_date = first_correct.activity_date
    {%- if incremental %}

    union all

    -- days on which nobody did anything new, but whose learners of 7 or 30 days, or whose new ones, are others now
    select
        known.activity_date,
        known.attempts,
        known.runs,
        known.submits,
        known.graded_submits,
        known.correct_submits,
        known.unique_users,
        known.users_without_correct,
        known.avg_attempts_to_first_correct,
        known.record_no

    from known

    inner join moved on known.activity_date = moved.activity_date

    where known.activity_date not in (select counted_days.activity_date from counted_days)
        and (known.new_users, known.unique_users_7d, known.unique_users_30d)
        is distinct from (moved.new_users, moved.unique_users_7d, moved.unique_users_30d)
    {%- endif %}

),

over_days as (

    select
        calendar.activity_date,
        coalesce(later_new_users.new_users, 0) as new_users,
        later_uniques.unique_users_7d,
        later_uniques.unique_users_30d

    from calendar

    inner join later_uniques on calendar.activity_date = later_uniques.activity_date

    left join later_new_users on calendar.activity_date = later_new_users.activity_date

    where calendar.activity_date > date '{{ last_known_day }}'
    {%- if incremental %}

    union all

    select * from moved
    {%- endif %}

),

final as (

    select
        counted.activity_date,
        counted.attempts,
        counted.runs,
        counted.submits,
        counted.correct_submits,
        {{ success_rate('counted') }} as success_rate,
        counted.unique_users,
        {{ attempts_per_user('counted') }} as attempts_per_user,
        counted.users_without_correct,
        counted.avg_attempts_to_first_correct,
        over_days.new_users::bigint as new_users,
        over_days.unique_users_7d::bigint as unique_users_7d,
        over_days.unique_users_30d::bigint as unique_users_30d,
        counted.graded_submits,
        counted.record_no

    from counted

    inner join over_days on counted.activity_date = over_days.activity_date

)

select * from final

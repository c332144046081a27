{#- Indexes: the key; what changed last. -#}
{{ config(
    incremental_strategy='publish', unique_key=['user_id', 'course_key'],
    meta={'distributed_by': 'user_id'},
    indexes=[
        {'columns': ['user_id', 'course_key'], 'unique': true},
        {'columns': ['record_no']},
    ],
) }}

with as_of as (

    select * from {{ ref('as_of') }}

),

learner_tasks as not materialized (

    select
        *,
        {{ course('course_key') }} as course

    from {{ ref('learner_tasks') }}

),

{% if is_incremental() %}

-- learners with a new attempt in a course, or with lost ones, and all when history begins at another instant
changed as (

    select
        user_id,
        course
    from learner_tasks
    where record_no > {{ last_record_no() }}

    union distinct

    select
        user_id,
        course_key
    from {{ this }}
    where history_from <> {{ history_from(ref('as_of')) }}
        or record_no is null

),
{% endif %}

pairs as (

    select
        *,
        case when not is_left_censored then first_graded_correct::int end as first_correct,
        -- 1 + the number of the learner's tasks of the course with an earlier first attempt
        rank() over (partition by user_id, course order by first_attempt_at)::int as step

    from learner_tasks
    {% if is_incremental() %}

    where (user_id, course) in (select changed.* from changed)
    {% endif %}

),

totals as (

    select
        user_id,
        course as course_key,
        {{ sums_of_counts() }},
        count(*) as tasks_tried,
        count(*) filter (where status = 'solved') as tasks_solved,
        count(*) filter (where status = 'unsolved') as tasks_unsolved,
        count(first_correct) as first_submits,
        coalesce(sum(first_correct), 0) as first_submits_correct,
        (array_agg(task_id order by last_attempt_at desc, {{ task_order() }}))[1] as last_task_id,
        -- the tasks, and for each of them its step and its first verdict
        array_agg(task_id order by task_id) as task_ids,
        array_agg(step order by task_id) as steps,
        array_agg(first_correct order by task_id) as first_corrects,
        max(record_no) as record_no

    from pairs

    group by user_id, course

),

days as (

    select
        user_id,
        course_key,
        count(*) as active_days,
        min(activity_date) as first_day,
        max(activity_date) as last_day

    from {{ ref('int_learner_course_days') }}
    {% if is_incremental() %}

    where (user_id, course_key) in (select changed.* from changed)
    {% endif %}

    group by user_id, course_key

)

select
    totals.*,
    days.active_days,
    days.first_day,
    days.last_day,
    as_of.history_from

from totals

inner join days on totals.user_id = days.user_id and totals.course_key = days.course_key

cross join as_of

{#-
  Indexes: the key; a task's learners; what was solved on a day, the table left out in both; what may
  have begun before we looked; what went on of late; what changed last.
-#}
{{ config(
    incremental_strategy='publish', unique_key=['user_id', 'task_id'], meta={'distributed_by': 'user_id'},
    indexes=[
        {'columns': ['user_id', 'task_id'], 'unique': true},
        {'columns': ['task_id', 'is_left_censored', 'submits_to_first_correct', 'active_seconds_to_first_correct']},
        {'columns': ['first_correct_date', 'attempts_to_first_correct']},
        {'columns': ['is_left_censored', 'first_attempt_at']},
        {'columns': ['last_attempt_at']},
        {'columns': ['record_no']},
    ],
) }}

-- `not materialized`: a table that is read twice is read by its indexes, not copied first
with attempts as not materialized (

    -- render(): whole under --sample too, or these figures would not add up to the others
    select * from {{ ref('attempts').render() }}

    where not is_excluded

),

-- a pair of learner and task that began earlier may have begun before we looked
history as (

    select coalesce(history_from + interval '168 hours', '-infinity') as whole_from from {{ ref('as_of') }}

),

{% if adds_to_itself() %}
{% set whole_from = history_from(ref('as_of')) ~ " + interval '168 hours'" %}

-- pairs with a new or corrected attempt, those that another start of history touches, and those that lost attempts
-- with a learner who was forgotten
changed as (

    select
        user_id,
        task_id
    from attempts
    where record_no > {{ last_record_no() }}

    union distinct

    select
        user_id,
        task_id
    from {{ this }}
    where (is_left_censored and first_attempt_at >= {{ whole_from }})
        or (not is_left_censored and first_attempt_at < {{ whole_from }})
        or record_no is null

),
{% endif %}

touched as not materialized (

    select *

    from attempts
    {% if adds_to_itself() %}

    where (user_id, task_id) in (select changed.* from changed)
    {% endif %}

),

addressed as (

    {{ attempts_with_lms_url('touched') }}

),

timed as (

    {{ attempts_of_pairs('addressed') }}

)

select
    user_id,
    task_id,
    min(course_key) as course_key,
    min(block_id) as block_id,
    min(lis_result_sourcedid) filter (where course_key is null) as unsplit_sourcedid,
    max(lms_url collate "C") as lms_url,
    {{ learner_counts() }},
    min(created_at) as first_attempt_at,
    max(created_at) as last_attempt_at,
    min(first_submit_at) as first_submit_at,
    min(first_graded_at) as first_graded_at,
    min(first_correct_at) as first_correct_at,
    {{ report_date('min(first_correct_at)') }} as first_correct_date,
    -- NULL without a verdict
    coalesce(min(first_correct_at), 'infinity') <= min(first_graded_at) as first_graded_correct,
    nullif(count(*) filter (where created_at <= first_correct_at), 0) as attempts_to_first_correct,
    case when min(first_correct_at) is not null then 1 end
    + count(is_correct) filter (where created_at < first_correct_at) as submits_to_first_correct,
    case when min(first_submit_at) is not null then 0 end
    + count(*) filter (where created_at < first_submit_at) as runs_before_first_submit,
    sum(active_seconds) as active_seconds,
    case when min(first_correct_at) is not null then 0 end
    + coalesce(sum(active_seconds) filter (where next_at <= first_correct_at), 0) as active_seconds_to_first_correct,
    coalesce(sum(active_seconds) filter (where is_lost), 0) as lost_seconds,
    min(created_at) < (select history.whole_from from history) as is_left_censored,
    case
        when min(first_correct_at) is not null then 'solved'
        when min(first_graded_at) is not null then 'unsolved'
        when min(first_submit_at) is not null then 'ungraded'
        else 'run_only'
    end as status,
    max(record_no) as record_no

from timed

group by user_id, task_id

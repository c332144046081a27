{{ config(
    incremental_strategy='publish',
    unique_key='_dlt_load_id',
    indexes=[{'columns': ['_dlt_load_id'], 'unique': true}],
) }}

-- depends_on: {{ ref('learner_tasks') }}
-- depends_on: {{ ref('daily_metrics') }}

with loads as (

    select * from {{ ref('stg_grader__loads') }}
    {% if adds_to_itself() %}

    where _dlt_load_id not in (select known._dlt_load_id from {{ this }} as known)
    {% endif %}

),

-- what was removed since counts as it did before
removals as (

    select * from {{ ref('stg_grader__removals') }}

),

-- a load without a receipt is newer than those with one; the number tells the planner how little
-- that is
staged as not materialized (

    select * from {{ ref('stg_grader__attempts') }}

    where record_no > {{ last_record_no() }}
        and _dlt_load_id in (select loads._dlt_load_id from loads)

),

attempts as (

    -- render(): whole under --sample too, or these figures would not add up to the others
    select * from {{ ref('attempts').render() }}

),

rejected_attempts as not materialized (

    select * from {{ ref('rejected_attempts') }}

),

records as (

    select
        staged._dlt_load_id,
        count(*) as fetched,
        count(attempts.attempt_id) as accepted,
        count(rejected_attempts.rejected_record_id) as rejected,
        max(staged.record_no) as record_no

    from staged

    left join attempts
        on staged.{{ learner_key() }} = attempts.user_id
        and staged.attempt_id = attempts.attempt_id
        and staged.record_no = attempts.first_record_no

    left join rejected_attempts
        on staged.rejected_record_id = rejected_attempts.rejected_record_id
        and staged.record_no = rejected_attempts.record_no

    group by staged._dlt_load_id

),

reasons_of_loads as (

    {{ rejections_by_reason('staged', 'rejected_attempts', 'removals') }}

)

select
    loads._dlt_load_id,
    loads.loaded_at,
    coalesce(records.fetched, 0) + coalesce(removals.judged, 0) as fetched,
    coalesce(records.accepted, 0) + coalesce(removals.accepted, 0) as accepted,
    coalesce(records.fetched - records.accepted - records.rejected, 0) + coalesce(removals.repeated, 0) as repeated,
    coalesce(records.rejected, 0) + coalesce(removals.rejected, 0) as rejected,
    coalesce(reasons_of_loads.rejected_by_reason, '{}') as rejected_by_reason,
    greatest(records.record_no, removals.record_no) as record_no,
    '{{ report_timezone() }}'::text as report_timezone,
    {{ var('rules_version') }}::int as rules_version

from loads

left join records on loads._dlt_load_id = records._dlt_load_id

left join removals on loads._dlt_load_id = removals._dlt_load_id

left join reasons_of_loads on loads._dlt_load_id = reasons_of_loads._dlt_load_id

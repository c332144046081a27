{{
    config(
        incremental_strategy='append',
        unique_key='_dlt_load_id',
        indexes=[{'columns': ['_dlt_load_id'], 'unique': true}],
    )
}}

-- depends_on: {{ ref('learner_tasks') }}
-- depends_on: {{ ref('daily_metrics') }}

with completed_loads as (

    select * from {{ ref('stg_grader__loads') }}

),

staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

attempts as (

    select * from {{ ref('attempts') }}

),

rejected_attempts as not materialized (

    select * from {{ ref('rejected_attempts') }}

),

loads as (

    select
        _dlt_load_id,
        loaded_at

    from completed_loads
    {%- if is_incremental() %}

    where _dlt_load_id not in (select known._dlt_load_id from {{ this }} as known)
    {%- endif %}

),

-- a load without a receipt is newer than those with one; the number tells the planner how little that is
records_of_loads as not materialized (

    select
        _dlt_load_id,
        attempt_id,
        rejected_record_id,
        record_no

    from staged

    where record_no > {{ last_record_no() }}
        and _dlt_load_id in (select loads._dlt_load_id from loads)

),

records as (

    select
        records_of_loads._dlt_load_id,
        count(*) as fetched,
        count(attempts.attempt_id) as accepted,
        count(rejected_attempts.rejected_record_id) as rejected,
        max(records_of_loads.record_no) as record_no

    from records_of_loads

    left join attempts
        on records_of_loads.attempt_id = attempts.attempt_id
        and records_of_loads.record_no = attempts.first_record_no

    left join rejected_attempts
        on records_of_loads.rejected_record_id = rejected_attempts.rejected_record_id
        and records_of_loads.record_no = rejected_attempts.record_no

    group by records_of_loads._dlt_load_id

),

reasons as (

    select
        counted._dlt_load_id,
        jsonb_object_agg(counted.reason, counted.records) as rejected_by_reason

    from (
        select
            records_of_loads._dlt_load_id,
            reason.reason,
            count(*) as records
        from records_of_loads
        inner join rejected_attempts
            on records_of_loads.rejected_record_id = rejected_attempts.rejected_record_id
            and records_of_loads.record_no = rejected_attempts.record_no
        cross join unnest(rejected_attempts.rejection_reasons) as reason (reason)
        group by records_of_loads._dlt_load_id, reason.reason
    ) as counted

    group by counted._dlt_load_id

),

final as (

    select
        loads._dlt_load_id,
        loads.loaded_at,
        coalesce(records.fetched, 0) as fetched,
        coalesce(records.accepted, 0) as accepted,
        coalesce(records.fetched - records.accepted - records.rejected, 0) as repeated,
        coalesce(records.rejected, 0) as rejected,
        coalesce(reasons.rejected_by_reason, '{}') as rejected_by_reason,
        records.record_no,
        '{{ report_timezone() }}'::text as report_timezone,
        {{ var('rules_version') }}::int as rules_version

    from loads

    left join records on loads._dlt_load_id = records._dlt_load_id

    left join reasons on loads._dlt_load_id = reasons._dlt_load_id

)

select * from final

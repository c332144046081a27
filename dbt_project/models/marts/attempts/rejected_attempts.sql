{#- Indexes: the key; what came last. -#}
{{ config(
    incremental_strategy='publish',
    unique_key='rejected_record_id',
    indexes=[
        {'columns': ['rejected_record_id'], 'unique': true},
        {'columns': ['record_no']},
    ],
) }}

with staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

arrived as {{ gathered() }} (

    select
        rejected_record_id,
        rejected_record,
        rejection_reasons,
        fetched_at,
        record_no

    from staged

    where not is_valid
        and record_no > {{ last_record_no() }}

),

first_seen as (

    select distinct on (arrived.rejected_record_id)
        arrived.rejected_record_id,
        arrived.rejected_record as record,
        arrived.rejection_reasons,
        arrived.fetched_at as first_seen_at,
        arrived.record_no

    from arrived
    {% if adds_to_itself() %}

    left join {{ this }} as known on arrived.rejected_record_id = known.rejected_record_id

    where known.rejected_record_id is null
    {% endif %}

    order by arrived.rejected_record_id, arrived.record_no

)

select * from first_seen

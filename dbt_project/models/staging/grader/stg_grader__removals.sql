{{ config(materialized='ephemeral') }}

with removals as (

    {% if not execute or load_relation(source('raw', 'removals')) is not none %}
    select * from {{ source('raw', 'removals') }}
    {% else %}
    -- a warehouse that an earlier version filled has the table from the next ingest on
    select
        null::varchar as _dlt_load_id,
        0::bigint as records,
        0::bigint as accepted,
        0::bigint as repeated,
        0::bigint as rejected,
        '{}'::jsonb as rejected_by_reason,
        0::bigint as record_no,
        null::timestamptz as expired_at
    where false
    {% endif %}

)

select
    _dlt_load_id,
    records,
    accepted + repeated + rejected as judged,
    accepted,
    repeated,
    rejected,
    rejected_by_reason,
    record_no,
    expired_at is not null as is_expired

from removals

with fetches as (

    select * from {{ ref('stg_grader__fetches') }}

),

staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

removals as (

    select * from {{ ref('stg_grader__removals') }}

),

answered as (

    select
        _dlt_load_id,
        sum(records) as records

    from fetches

    where {{ without_receipt('_dlt_load_id') }}

    group by _dlt_load_id

),

arrived as (

    select
        _dlt_load_id,
        count(*) as records

    from staged

    where _dlt_load_id in (select answered._dlt_load_id from answered)

    group by _dlt_load_id

)

select
    answered._dlt_load_id,
    answered.records as records_answered,
    coalesce(removals.records, 0) as records_forgotten,
    coalesce(arrived.records, 0) as records_staged

from answered

left join arrived on answered._dlt_load_id = arrived._dlt_load_id

left join removals on answered._dlt_load_id = removals._dlt_load_id

where answered.records - coalesce(removals.records, 0) <> coalesce(arrived.records, 0)
    and removals.is_expired is not true

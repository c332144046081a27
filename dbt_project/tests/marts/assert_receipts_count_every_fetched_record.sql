with fetches as (

    select * from {{ ref('stg_grader__fetches') }}

),

load_receipts as (

    select * from {{ ref('load_receipts') }}

),

removals as (

    select * from {{ ref('stg_grader__removals') }}

),

answered as (

    select
        _dlt_load_id,
        sum(records) as records

    from fetches

    group by _dlt_load_id

)

select
    load_receipts._dlt_load_id,
    answered.records as records_answered,
    coalesce(removals.records - removals.judged, 0) as records_forgotten_before,
    load_receipts.fetched as fetched_in_receipt

from load_receipts

inner join answered on load_receipts._dlt_load_id = answered._dlt_load_id

left join removals on load_receipts._dlt_load_id = removals._dlt_load_id

where load_receipts.fetched <> answered.records - coalesce(removals.records - removals.judged, 0)
    and removals.is_expired is not true

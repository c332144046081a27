with fetches as (

    select * from {{ ref('stg_grader__fetches') }}

),

load_receipts as (

    select * from {{ ref('load_receipts') }}

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
    load_receipts.fetched as fetched_in_receipt

from load_receipts

inner join answered on load_receipts._dlt_load_id = answered._dlt_load_id

where load_receipts.fetched <> answered.records

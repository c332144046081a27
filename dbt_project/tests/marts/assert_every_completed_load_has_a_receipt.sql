with loads as (

    select * from {{ ref('stg_grader__loads') }}

),

load_receipts as (

    select * from {{ ref('load_receipts') }}

)

select loads._dlt_load_id

from loads

left join load_receipts on loads._dlt_load_id = load_receipts._dlt_load_id

where load_receipts._dlt_load_id is null

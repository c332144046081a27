{{ config(materialized='view') }}

with fetches as (

    select * from {{ source('raw', 'fetches') }}

),

loads as (

    select * from {{ source('raw', '_dlt_loads') }}

),

completed as (

    select
        window_start,
        window_end,
        records,
        fetched_at,
        _dlt_load_id

    from fetches

    where _dlt_load_id in (select loads.load_id from loads where loads.status = 0)

)

select * from completed

-- a table, so that one build sees one list of loads from beginning to end
{{ config(materialized='table') }}

with loads as (

    select * from {{ source('raw', '_dlt_loads') }}

),

completed as (

    select
        load_id as _dlt_load_id,
        inserted_at as loaded_at

    from loads

    where status = 0

)

select * from completed

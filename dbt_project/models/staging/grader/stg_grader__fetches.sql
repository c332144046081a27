{{ config(materialized='incremental', incremental_strategy='append') }}

with fetches as (

    select * from {{ source('raw', 'fetches') }}

),

loads as (

    select * from {{ ref('stg_grader__loads') }}

),

completed as (

    select
        window_start,
        window_end,
        records,
        fetched_at,
        _dlt_load_id

    from fetches

    where _dlt_load_id in (select loads._dlt_load_id from loads)
        {% if is_incremental() %}
        and _dlt_load_id not in (select known._dlt_load_id from {{ this }} as known)
        {% endif %}

)

select * from completed

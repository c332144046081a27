-- a table, so that one build sees one list of loads from beginning to end
{{ config(materialized='incremental', incremental_strategy='append') }}

with loads as (

    select * from {{ source('raw', '_dlt_loads') }}

),

completed as (

    select
        load_id as _dlt_load_id,
        inserted_at as loaded_at

    from loads

    where status = 0
        {% if is_incremental() %}
        and load_id not in (select known._dlt_load_id from {{ this }} as known)
        {% endif %}

)

select * from completed

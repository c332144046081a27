{{ config(materialized='table') }}

select * from {{ ref('courses_plain') }}

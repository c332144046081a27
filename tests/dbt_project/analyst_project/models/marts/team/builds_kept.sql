{{ config(materialized='incremental', full_refresh=false, incremental_strategy='append') }}

select
    '{{ invocation_id }}'::text as invocation_id,
    count(*) as attempts

from {{ ref('attempts') }}

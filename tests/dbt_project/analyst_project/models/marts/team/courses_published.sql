{{ config(
    materialized='incremental', full_refresh=false, incremental_strategy='publish',
    unique_key='course_key', indexes=[{'columns': ['course_key'], 'unique': true}],
) }}

select
    course_key,
    count(*) as attempts,
    count(distinct user_id) as learners,
    count(*) filter (where is_correct) as correct_submits

from {{ ref('attempts') }}

where course_key is not null

group by course_key

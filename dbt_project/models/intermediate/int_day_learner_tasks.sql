{#- The graded submits of the last full day, for each learner and task. -#}
{{ config(materialized='ephemeral') }}

with as_of as (

    select * from {{ ref('as_of') }}

),

attempts as (

    -- render(): whole under --sample too, or these figures would not add up to the others
    select * from {{ ref('attempts').render() }}

)

select
    user_id,
    task_id,
    count(*) as graded_submits,
    count(*) filter (where is_correct) as correct_submits

from attempts

where activity_date = (select as_of.as_of_day from as_of)
    and is_correct is not null
    and not is_excluded

group by user_id, task_id

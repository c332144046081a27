with fetches as (

    select * from {{ ref('stg_grader__fetches') }}

),

covered as (

    select
        max(least(window_end, fetched_at)) as covered_until,
        min(window_start) as history_from

    from fetches

)

select
    {{ report_date('covered_until') }} - 1 as as_of_day,
    covered_until,
    history_from

from covered

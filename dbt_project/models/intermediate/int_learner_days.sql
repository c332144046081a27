{{
    config(
        incremental_strategy='merge',
        unique_key=['user_id', 'activity_date'],
        indexes=[
            {'columns': ['user_id', 'activity_date'], 'unique': true},
            {'columns': ['activity_date']},
            {'columns': ['record_no']},
        ],
    )
}}

-- `not materialized`: what is read more than once is read by its indexes, not copied as a whole first
with attempts as not materialized (

    select * from {{ ref('attempts') }}

),

{% if is_incremental() -%}

changed as (

    select distinct
        user_id,
        activity_date
    from attempts
    where record_no > {{ last_record_no() }}

),

{% endif -%}

learner_days as (

    select
        user_id,
        activity_date,
        {{ learner_counts() }},
        min(first_record_no) as first_record_no,
        max(record_no) as record_no

    from attempts
    {%- if is_incremental() %}

    where (user_id, activity_date) in (select changed.user_id, changed.activity_date from changed)
    {%- endif %}

    group by user_id, activity_date
    {%- if not is_incremental() %}

    -- a day's rows next to each other, as later builds add them: days are what they are read by
    order by activity_date
    {%- endif %}

)

select * from learner_days

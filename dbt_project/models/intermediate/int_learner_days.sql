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

changed_days as (

    select distinct activity_date
    from attempts
    where record_no > {{ last_record_no() }}

),

{% endif -%}

learner_days as (

    select
        user_id,
        activity_date,
        {{ learner_counts() }},
        max(record_no) as record_no

    from attempts
    {%- if is_incremental() %}

    where activity_date in (select changed_days.activity_date from changed_days)
    {%- endif %}

    group by user_id, activity_date
    {%- if is_incremental() %}

    having max(record_no) > {{ last_record_no() }}
    {%- endif %}

)

select * from learner_days

{#- Indexes: the key, by learner first; the learners of a day; what changed last. -#}
{{ config(
    incremental_strategy='publish',
    unique_key=['user_id', 'course_key', 'activity_date'],
    meta={'distributed_by': 'user_id'},
    indexes=[
        {'columns': ['user_id', 'course_key', 'activity_date'], 'unique': true},
        {'columns': ['activity_date']},
        {'columns': ['record_no']},
    ],
) }}

with attempts as not materialized (

    -- render(): whole under --sample too, or these figures would not add up to the others
    select * from {{ ref('attempts').render() }}

    where not is_excluded

),

{% if is_incremental() %}

changed as (

    select
        user_id,
        activity_date
    from attempts
    where record_no > {{ last_record_no() }}

    union distinct

    -- days that lost attempts with a learner who was forgotten
    select
        user_id,
        activity_date
    from {{ this }}
    where record_no is null

),
{% endif %}

final as (

    select
        attempts.user_id,
        {{ course('attempts.course_key') }} as course_key,
        attempts.activity_date,
        {{ learner_counts('integer') }},
        max(attempts.record_no) as record_no

    from attempts
    {% if is_incremental() %}

    inner join changed
        on attempts.user_id = changed.user_id
        and attempts.activity_date = changed.activity_date
    {% endif %}

    group by attempts.user_id, {{ course('attempts.course_key') }}, attempts.activity_date

    -- a day's rows beside each other on disk, as daily builds add them: days are what they are read
    -- by
    order by attempts.activity_date

)

select * from final

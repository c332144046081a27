{#-
  Indexes: the key, led by its time; the attempts of a learner on a task, in their order; the attempts
  of a day; what came last.
-#}
{{ config(
    incremental_strategy='publish',
    unique_key=['user_id', 'attempt_id'],
    meta={'distributed_by': 'user_id'},
    indexes=[
        {'columns': ['attempt_id', 'user_id'], 'unique': true},
        {'columns': ['user_id', 'task_id', 'created_at']},
        {'columns': ['activity_date', 'user_id']},
        {'columns': ['record_no']},
    ],
) }}

{#- What a further record of the same attempt can correct. -#}
{%- set correctable = ['oauth_consumer_key', 'lis_outcome_service_url', 'is_correct'] %}
{%- set first_record_no = 'coalesce(known.first_record_no, corrected.first_record_no)'
    if adds_to_itself() else 'corrected.first_record_no' %}

with excluded_learners as (

    select * from {{ ref('excluded_learners') }}

),

staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

arrived as not materialized (

    select * from staged

    where is_valid
        and record_no > {{ last_record_no() }}

),

-- of several records of one attempt the newest counts
newest as (

    select
        {{ learner_key() }},
        attempt_id,
        min(record_no) as first_record_no,
        max(record_no) as record_no

    from arrived

    group by {{ learner_key() }}, attempt_id

),

corrected as (

    select
        arrived.*,
        newest.first_record_no

    from arrived

    inner join newest
        on arrived.{{ learner_key() }} = newest.{{ learner_key() }}
        and arrived.record_no = newest.record_no

),

final as (

    select
        corrected.attempt_id,
        corrected.user_id,
        {% for column in correctable %}
        corrected.{{ column }},
        {% endfor %}
        corrected.lis_result_sourcedid,
        corrected.attempt_type,
        corrected.created_at,
        {{ report_date('corrected.created_at') }} as activity_date,
        corrected.course_key,
        corrected.block_id,
        {{ task_id('corrected') }} as task_id,
        corrected.user_id in (
            select excluded_learners.user_id from excluded_learners
        ) as is_excluded,
        {{ first_record_no }} as first_record_no,
        corrected.record_no

    from corrected
    {% if adds_to_itself() %}

    left join {{ this }} as known
        on corrected.{{ learner_key() }} = known.user_id
        and corrected.attempt_id = known.attempt_id

    -- one that came again as it is known is nothing new to the models that read this one
    where known.attempt_id is null
        or (corrected.{{ correctable | join(', corrected.') }})
        is distinct from (known.{{ correctable | join(', known.') }})
    {% endif %}

)

select * from final

{{
    config(
        incremental_strategy='merge',
        unique_key='attempt_id',
        indexes=[
            {'columns': ['attempt_id'], 'unique': true},
            {'columns': ['learner_task_id', 'created_at', 'attempt_type', 'is_correct', 'record_no']},
            {'columns': ['activity_date', 'user_id']},
            {'columns': ['record_no']},
        ],
    )
}}

with staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

arrived as not materialized (

    select
        attempt_id,
        record_no,
        user_id,
        oauth_consumer_key,
        lis_result_sourcedid,
        lis_outcome_service_url,
        is_correct,
        attempt_type,
        created_at,
        _dlt_load_id

    from staged

    where is_valid
        and record_no > {{ last_record_no() }}

),

{% if is_incremental() -%}

known as not materialized (

    select
        attempt_id,
        first_record_no,
        record_no,
        oauth_consumer_key,
        lis_outcome_service_url,
        is_correct

    from {{ this }}

    where attempt_id in (select arrived.attempt_id from arrived)

),

{% endif -%}

-- attempts with more than one record, few of them: what is known counts as the record before the new ones
repeated as materialized (

    select attempt_id
    from arrived
    group by attempt_id
    having count(*) > 1
    {%- if is_incremental() %}

    union

    select attempt_id
    from known
    {%- endif %}

),

records_of_repeated as (

    select
        attempt_id,
        record_no as first_record_no,
        record_no,
        oauth_consumer_key,
        lis_outcome_service_url,
        is_correct,
        _dlt_load_id
    from arrived
    where attempt_id in (select repeated.attempt_id from repeated)
    {%- if is_incremental() %}

    union all

    select
        attempt_id,
        first_record_no,
        record_no,
        oauth_consumer_key,
        lis_outcome_service_url,
        is_correct,
        '' as _dlt_load_id
    from known
    {%- endif %}

),

-- within a load the record fetched last counts
last_of_load as (

    select distinct on (attempt_id, _dlt_load_id)
        *,
        min(first_record_no) over (partition by attempt_id) as accepted_record_no

    from records_of_repeated

    order by attempt_id, _dlt_load_id, record_no desc

),

compared as (

    select
        *,
        (oauth_consumer_key, lis_outcome_service_url, is_correct) is not distinct from (
            lag(oauth_consumer_key) over loads,
            lag(lis_outcome_service_url) over loads,
            lag(is_correct) over loads
        )
        and lag(record_no) over loads is not null as same_as_before

    from last_of_load

    window loads as (partition by attempt_id order by record_no)

),

-- an attempt is touched only by a load that changes it
deciding as (

    select distinct on (attempt_id)
        attempt_id,
        accepted_record_no as first_record_no,
        record_no

    from compared

    where not same_as_before

    order by attempt_id, record_no desc

),

places as (

    select
        *,
        split_part(lis_result_sourcedid, ':', -2) as place,
        split_part(split_part(lis_result_sourcedid, ':', -2), '-', -1) as block,
        split_part(lis_result_sourcedid, ':', -1) as learner

    from arrived

    -- keeps PostgreSQL from computing these again for each of their uses, yet lets parallel workers compute them
    limit all

),

-- an id can be split when none of its four parts is empty
split as (

    select
        *,
        case
            when block <> ''
                and learner <> ''
                and octet_length(place) > octet_length(block) + 1
                and octet_length(lis_result_sourcedid) > octet_length(place) + octet_length(learner) + 2
                then left(lis_result_sourcedid, -(length(place) + length(learner) + 2))
        end as encoded_course_key

    from places

    limit all

),

tasks as (

    select
        *,
        case
            when strpos(encoded_course_key, '%') > 0 then {{ function_name('percent_decode') }}(encoded_course_key)
            else encoded_course_key
        end as course_key,
        case when encoded_course_key is not null then block end as block_id

    from split

    limit all

),

placed as (

    select
        attempt_id,
        user_id,
        oauth_consumer_key,
        lis_result_sourcedid,
        lis_outcome_service_url,
        is_correct,
        attempt_type,
        created_at,
        {{ report_date('created_at') }} as activity_date,
        course_key,
        block_id,
        {{ hash_id(['user_id', 'course_key', 'coalesce(block_id, lis_result_sourcedid)']) }} as learner_task_id,
        record_no

    from tasks

    limit all

),

final as (

    select
        placed.attempt_id,
        placed.user_id,
        placed.oauth_consumer_key,
        placed.lis_result_sourcedid,
        placed.lis_outcome_service_url,
        placed.is_correct,
        placed.attempt_type,
        placed.created_at,
        placed.activity_date,
        placed.course_key,
        placed.block_id,
        placed.learner_task_id,
        coalesce(deciding.first_record_no, placed.record_no) as first_record_no,
        placed.record_no

    from placed

    left join deciding on placed.attempt_id = deciding.attempt_id

    where deciding.record_no is null
        or deciding.record_no = placed.record_no

)

select * from final

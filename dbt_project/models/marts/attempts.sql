{{
    config(
        incremental_strategy='merge',
        unique_key='attempt_id',
        indexes=[
            {'columns': ['attempt_id'], 'unique': true},
            {'columns': ['learner_task_id']},
            {'columns': ['activity_date']},
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
        record_no as first_record_no,
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
        user_id,
        oauth_consumer_key,
        lis_result_sourcedid,
        lis_outcome_service_url,
        is_correct,
        attempt_type,
        created_at,
        '' as _dlt_load_id

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

    select *
    from arrived
    where attempt_id in (select repeated.attempt_id from repeated)
    {%- if is_incremental() %}

    union all

    select * from known
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
corrected as (

    select distinct on (attempt_id)
        attempt_id,
        accepted_record_no as first_record_no,
        record_no,
        user_id,
        oauth_consumer_key,
        lis_result_sourcedid,
        lis_outcome_service_url,
        is_correct,
        attempt_type,
        created_at,
        _dlt_load_id

    from compared

    where not same_as_before

    order by attempt_id, record_no desc

),

current_records as (

    select *
    from arrived
    where attempt_id not in (select repeated.attempt_id from repeated)

    union all

    select *
    from corrected
    {%- if is_incremental() %}
    where record_no > {{ last_record_no() }}
    {%- endif %}

),

sourcedid_parts as (

    select
        *,
        string_to_array(lis_result_sourcedid, ':') as id_parts

    from current_records

    offset 0

),

places as (

    select
        *,
        id_parts[cardinality(id_parts) - 1] as place,
        id_parts[cardinality(id_parts)] as learner

    from sourcedid_parts

    offset 0

),

split as (

    select
        *,
        case
            when cardinality(id_parts) >= 3
                and place like '_%-_%'
                and place not like '%-'
                and learner <> ''
                and length(lis_result_sourcedid) > length(place) + length(learner) + 2
                then left(lis_result_sourcedid, -(length(place) + length(learner) + 2))
        end as encoded_course_key

    from places

    offset 0

),

tasks as (

    select
        *,
        {{ function_name('percent_decode') }}(encoded_course_key) as course_key,
        case when encoded_course_key is not null then split_part(place, '-', -1) end as block_id

    from split

    offset 0

),

final as (

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
        first_record_no,
        record_no

    from tasks

)

select * from final

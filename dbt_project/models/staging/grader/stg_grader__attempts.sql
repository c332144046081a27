{#- Indexes: the key, which is the order of arrival; the records of a load. -#}
{{ config(
    incremental_strategy='append',
    meta={'distributed_by': 'shard_key'},
    indexes=[
        {'columns': staged_key(['record_no']), 'unique': true},
        {'columns': ['_dlt_load_id']},
    ],
) }}

with attempts as (

    select * from {{ source('raw', 'attempts') }}

),

loads as (

    select * from {{ ref('stg_grader__loads') }}

),

texts as (

    select
        *,
        {{ json_text('record', 'lti_user_id') }} as user_id,
        {{ json_text('record', 'passback_params') }} as params_text,
        {{ json_text('record', 'attempt_type') }} as attempt_type,
        {{ json_text('record', 'created_at') }} as created_at_text,
        string_to_array(record ->> 'passback_params', '''') as params_parts,
        translate(record ->> 'created_at', '0123456789', '0000000000') as created_at_shape {{ fence_column(1) }}

    from attempts

    where record_no > {{ last_record_no() }}
        and _dlt_load_id in (select loads._dlt_load_id from loads)
    {{ fence() }}

),

parsed as (

    select
        *,
        {{ parse_passback_params("record -> 'passback_params'", 'params_text', 'params_parts') }} as params,
        {{ parse_verdict("record -> 'is_correct'") }} as verdict,
        {{ parse_created_at('created_at_text', 'created_at_shape') }} as created_at {{ fence_column(2) }}

    from texts
    {{ fence() }}

),

fields as (

    select
        *,
        substr(params[1], 1, 1) as consumer_key_kind,
        params[2] as consumer_key,
        substr(params[1], 2, 1) as sourcedid_kind,
        params[3] as sourcedid,
        substr(params[1], 3, 1) as url_kind,
        params[4] as url,
        {{ function_name('split_sourcedid') }}(params[3]) as course_and_block {{ fence_column(3) }}

    from parsed
    {{ fence() }}

),

judged as (

    select
        *,
        case
            when jsonb_typeof(record) <> 'object' then array['not_an_object']
            else array_remove(array[{{ reasons_that_apply() }}], null)
        end as rejection_reasons {{ fence_column(4) }}

    from fields
    {{ fence() }}

),

final as (

    select
        record_no,
        case
            when rejection_reasons = '{}'
                then {{ timed_hash_id(
                    'created_at', ['attempt_type', 'extract(epoch from created_at)::text', 'user_id', 'sourcedid']
                ) }}
        end as attempt_id,
        case when rejection_reasons <> '{}' then md5(record::text)::uuid end as rejected_record_id,
        rejection_reasons = '{}' as is_valid,
        rejection_reasons,
        {{ unless_rejected('user_id_invalid', 'user_id') }} as user_id,
        {{ unless_rejected('oauth_consumer_key_invalid', blank_as_empty('consumer_key')) }} as oauth_consumer_key,
        {{ unless_rejected('lis_result_sourcedid_invalid', 'sourcedid') }} as lis_result_sourcedid,
        {{ unless_rejected('lis_outcome_service_url_invalid', blank_as_empty('url')) }} as lis_outcome_service_url,
        case verdict when 'true' then true when 'false' then false end as is_correct,
        {{ unless_rejected('attempt_type_invalid', 'attempt_type') }} as attempt_type,
        {{ unless_rejected('created_at_invalid', 'created_at') }} as created_at,
        {{ unless_rejected('lis_result_sourcedid_invalid', 'course_and_block[1]') }} as course_key,
        {{ unless_rejected('lis_result_sourcedid_invalid', 'course_and_block[2]') }} as block_id,
        fetched_at,
        case when rejection_reasons <> '{}' then record end as rejected_record,
        {% if is_distributed() %}
        coalesce(user_id, record_no::text) as shard_key,
        {% endif %}
        _dlt_load_id

    from judged

)

select * from final

{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        indexes=[
            {'columns': ['record_no'], 'unique': true},
            {'columns': ['_dlt_load_id']},
        ],
    )
}}

{%- set after = last_record_no() %}

with attempts as (

    select * from {{ source('raw', 'attempts') }}

),

loads as (

    select * from {{ ref('stg_grader__loads') }}

),

arrived as (

    select
        record,
        record_no,
        fetched_at,
        _dlt_load_id

    from attempts

    where record_no > {{ after }}
        and _dlt_load_id in (select loads._dlt_load_id from loads)

),

-- `limit all` limits nothing: here and below it keeps PostgreSQL from computing an expression again for each of its uses, and
-- unlike other fences it lets parallel workers do the computing
fields as (

    select
        *,
        jsonb_typeof(record) as record_type,
        record -> 'lti_user_id' as user_id_json,
        record -> 'passback_params' as params_json,
        record -> 'is_correct' as is_correct_json,
        record -> 'attempt_type' as attempt_type_json,
        record -> 'created_at' as created_at_json

    from arrived

    limit all

),

texts as (

    select
        *,
        case when jsonb_typeof(user_id_json) = 'string' then user_id_json #>> '{}' end as user_id_text,
        jsonb_typeof(params_json) as params_type,
        case when jsonb_typeof(params_json) = 'string' then params_json #>> '{}' end as params_text,
        case
            when coalesce(jsonb_typeof(is_correct_json), 'null') = 'null' then 'null'
            when is_correct_json in ('0', 'false') then 'false'
            when is_correct_json in ('1', 'true') then 'true'
        end as verdict,
        case when jsonb_typeof(attempt_type_json) = 'string' then attempt_type_json #>> '{}' end as attempt_type_text,
        case when jsonb_typeof(created_at_json) = 'string' then created_at_json #>> '{}' end as created_at_text

    from fields

    limit all

),

pieces as (

    select
        *,
        string_to_array(params_text, substr(params_text, 2, 1)) as params_parts,
        translate(created_at_text, '0123456789', '0000000000') as created_at_shape

    from texts

    limit all

),

parsed as (

    select
        *,
        {{ parse_passback_params('params_type', 'params_json', 'params_text', 'params_parts') }} as params,
        {{ parse_created_at('created_at_text', 'created_at_shape') }} as created_at_instant

    from pieces

    limit all

),

params as (

    select
        *,
        substr(params[1], 1, 1) as oauth_consumer_key_kind,
        params[2] as oauth_consumer_key_text,
        substr(params[1], 2, 1) as lis_result_sourcedid_kind,
        params[3] as lis_result_sourcedid_text,
        substr(params[1], 3, 1) as lis_outcome_service_url_kind,
        params[4] as lis_outcome_service_url_text

    from parsed

    limit all

),

judged as (

    select
        *,
        record_type <> 'object' as not_an_object,
        user_id_text is null or {{ is_longer('user_id_text', 255) }} or {{ is_blank('user_id_text') }} as user_id_invalid,
        params is null as passback_params_invalid,
        params is not null and (
            lis_result_sourcedid_kind <> 's'
            or {{ is_longer('lis_result_sourcedid_text', 1000) }}
            or {{ is_blank('lis_result_sourcedid_text') }}
        ) as lis_result_sourcedid_invalid,
        params is not null and (
            lis_outcome_service_url_kind = 'x'
            or (
                lis_outcome_service_url_kind = 's'
                and not (
                    lis_outcome_service_url_text like any (array['http://%', 'https://%'])
                    and not {{ is_longer('lis_outcome_service_url_text', 2000) }}
                )
                and not {{ is_blank('lis_outcome_service_url_text') }}
            )
        ) as lis_outcome_service_url_invalid,
        params is not null and (
            oauth_consumer_key_kind = 'x'
            or (
                oauth_consumer_key_kind = 's'
                and {{ is_longer('oauth_consumer_key_text', 255) }}
                and not {{ is_blank('oauth_consumer_key_text') }}
            )
        ) as oauth_consumer_key_invalid,
        coalesce(attempt_type_text, '') not in ('run', 'submit') as attempt_type_invalid,
        verdict is null as is_correct_invalid,
        attempt_type_text = 'run' and verdict is distinct from 'null' as is_correct_on_run,
        created_at_instant is null or created_at_instant < timestamptz '2000-01-01 00:00:00+00' as created_at_invalid,
        created_at_instant > fetched_at + interval '24 hours' as created_at_in_future

    from params

    limit all

),

reasoned as (

    select
        *,
        case
            when not_an_object then array['not_an_object']
            {%- set reasons = rejection_reasons() %}
            when {% for reason in reasons %}{{ reason }}{{ ' or ' if not loop.last }}{% endfor %}
                then
                    array_remove(
                        array[
                            {%- for reason in reasons %}
                            case when {{ reason }} then '{{ reason }}' end{{ ',' if not loop.last }}
                            {%- endfor %}
                        ],
                        null
                    )
            else array[]::text[]
        end as rejection_reasons

    from judged

    limit all

),

attempts_judged as (

    select
        record_no,
        case
            when cardinality(rejection_reasons) = 0
                then {{ timed_hash_id('created_at_instant', [
                    'attempt_type_text', 'extract(epoch from created_at_instant)::text', 'user_id_text', 'lis_result_sourcedid_text'
                ]) }}
        end as attempt_id,
        case when cardinality(rejection_reasons) > 0 then md5(record::text)::uuid end as rejected_record_id,
        cardinality(rejection_reasons) = 0 as is_valid,
        rejection_reasons,
        case when not user_id_invalid then user_id_text end as user_id,
        case
            when not oauth_consumer_key_invalid
                then case when {{ is_blank('oauth_consumer_key_text') }} then '' else oauth_consumer_key_text end
        end as oauth_consumer_key,
        case when not lis_result_sourcedid_invalid then lis_result_sourcedid_text end as lis_result_sourcedid,
        case
            when not lis_outcome_service_url_invalid
                then case when {{ is_blank('lis_outcome_service_url_text') }} then '' else lis_outcome_service_url_text end
        end as lis_outcome_service_url,
        case verdict when 'true' then true when 'false' then false end as is_correct,
        case when not attempt_type_invalid then attempt_type_text end as attempt_type,
        case when not created_at_invalid then created_at_instant end as created_at,
        fetched_at,
        case when cardinality(rejection_reasons) > 0 then record end as rejected_record,
        _dlt_load_id

    from reasoned

)

select * from attempts_judged

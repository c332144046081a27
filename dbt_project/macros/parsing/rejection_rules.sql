{#
  The rules, in the order in which reasons are listed: a reason, and the condition on a parsed
  record under which it applies. A reason needs true; NULL is none. `not_an_object` stands alone, so
  the others are judged for objects only. The names are columns of the CTE `fields` in
  stg_grader__attempts.
#}
{% macro rejection_rules() -%}
    {{ return([
        ('user_id_invalid', text_invalid('user_id', 255)),
        ('passback_params_invalid', 'params is null'),
        (
            'lis_result_sourcedid_invalid',
            "params is not null and (sourcedid_kind <> 's' or " ~ text_invalid('sourcedid', 1000) ~ ")"
        ),
        (
            'lis_outcome_service_url_invalid',
            "url_kind = 'x' or url_kind = 's' and not " ~ is_blank('url')
            ~ " and (url not like all (array['http://%', 'https://%']) or " ~ is_longer('url', 2000) ~ ")"
        ),
        (
            'oauth_consumer_key_invalid',
            "consumer_key_kind = 'x' or " ~ is_longer('consumer_key', 255) ~ " and not " ~ is_blank('consumer_key')
        ),
        ('attempt_type_invalid', "coalesce(attempt_type, '') not in ('run', 'submit')"),
        ('is_correct_invalid', 'verdict is null'),
        ('is_correct_on_run', "attempt_type = 'run' and verdict is distinct from 'null'"),
        ('created_at_invalid', "created_at is null or created_at < timestamptz '2000-01-01 00:00:00+00'"),
        ('created_at_in_future', "created_at > fetched_at + interval '24 hours'"),
    ]) }}
{%- endmacro %}


{# The rules as SQL expressions: each gives its reason, or NULL where it does not apply. #}
{% macro reasons_that_apply() -%}
    {%- for reason, condition in rejection_rules() %}
    case when {{ condition }} then '{{ reason }}' end{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{# True for a text that is missing, blank or longer than `most` characters. #}
{% macro text_invalid(text_sql, most) -%}
    ({{ text_sql }} is null or {{ is_longer(text_sql, most) }} or {{ is_blank(text_sql) }})
{%- endmacro %}


{# A field of a judged record; NULL where it breaks its own rule. #}
{% macro unless_rejected(reason, value_sql) -%}
    case when '{{ reason }}' <> all(rejection_reasons) then {{ value_sql }} end
{%- endmacro %}

{# The reasons a JSON object can be rejected for, in the order in which they are listed; `not_an_object` stands alone. #}
{% macro rejection_reasons() -%}
    {{ return([
        'user_id_invalid',
        'passback_params_invalid',
        'lis_result_sourcedid_invalid',
        'lis_outcome_service_url_invalid',
        'oauth_consumer_key_invalid',
        'attempt_type_invalid',
        'is_correct_invalid',
        'is_correct_on_run',
        'created_at_invalid',
        'created_at_in_future',
    ]) }}
{%- endmacro %}

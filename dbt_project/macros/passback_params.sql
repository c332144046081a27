{#
  `passback_params` -> text[], exactly and without executing anything:

      {kinds, oauth_consumer_key, lis_result_sourcedid, lis_outcome_service_url}

  where `kinds` has a letter for each of the three fields: s a string (its text follows), n None or null, m missing, x a value of
  another type. NULL where the value is neither an object, nor the repr of a Python dict, nor the text of a JSON object.

  `type_sql`, `json_sql`, `text_sql`  SQL expressions: the value's JSON type, the value as jsonb, its text where it is a string
  `parts_sql`                         string_to_array(text, substr(text, 2, 1)), computed once beforehand

  The quick way reads what the grader sends nearly always: the three fields in their order, all of them strings. The parts
  hold no quote of that kind, so if the text is the same once it is written again around them, each quote is a delimiter; without a
  backslash nothing needs decoding; a line break would be no repr, another raw control character no JSON. Anything else goes the
  exact way, which is a function (read_passback_text) and costs thirty times as much.
#}
{% macro parse_passback_params(type_sql, json_sql, text_sql, parts_sql) -%}
    {%- set values_sql = ['(' ~ parts_sql ~ ')[4]', '(' ~ parts_sql ~ ')[8]', '(' ~ parts_sql ~ ')[12]'] %}
    case
        when strpos({{ text_sql }}, '\') = 0
            and (
                (
                    {{ text_sql }} = {{ passback_outline("'", ': ', ', ', values_sql) }}
                    and strpos({{ text_sql }}, e'\n') = 0
                    and strpos({{ text_sql }}, e'\r') = 0
                )
                or (
                    {{ text_sql }} in (
                        {{ passback_outline('"', ': ', ', ', values_sql) }},
                        {{ passback_outline('"', ':', ',', values_sql) }}
                    )
                    and {{ text_sql }} !~ '[\x01-\x1f]'
                )
            )
            then array['sss', {{ values_sql | join(', ') }}]
        when {{ type_sql }} = 'string' then {{ function_name('read_passback_text') }}({{ text_sql }})
        when {{ type_sql }} = 'object'
            then array[
                {%- for field in ['oauth_consumer_key', 'lis_result_sourcedid', 'lis_outcome_service_url'] %}
                {{ '|| ' if not loop.first }}case coalesce(jsonb_typeof({{ json_sql }} -> '{{ field }}'), 'missing')
                    when 'string' then 's' when 'null' then 'n' when 'missing' then 'm' else 'x'
                end
                {%- endfor %},
                {{ json_sql }} ->> 'oauth_consumer_key',
                {{ json_sql }} ->> 'lis_result_sourcedid',
                {{ json_sql }} ->> 'lis_outcome_service_url'
            ]
    end
{%- endmacro %}


{# An SQL expression: the text of the three fields in their order, all of them strings, as repr or JSON writes it. #}
{% macro passback_outline(quote, after_key, after_value, values_sql) -%}
    {%- set texts = [] -%}
    {%- for field in ['oauth_consumer_key', 'lis_result_sourcedid', 'lis_outcome_service_url'] -%}
        {%- set before = ('{' if loop.first else quote ~ after_value) ~ quote ~ field ~ quote ~ after_key ~ quote -%}
        {%- do texts.extend([dbt.string_literal(dbt.escape_single_quotes(before)), values_sql[loop.index0]]) -%}
    {%- endfor -%}
    {{ texts | join(' || ') }} || {{ dbt.string_literal(dbt.escape_single_quotes(quote ~ '}')) }}
{%- endmacro %}

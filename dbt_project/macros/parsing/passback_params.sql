{#
  `passback_params` -> text[], exactly and without executing anything:

      {kinds, oauth_consumer_key, lis_result_sourcedid, lis_outcome_service_url}

  where `kinds` has a letter for each of the three fields: s a string (its text follows), n None or
  null, m missing, x a value of another type. NULL where the value is neither an object, nor the
  repr of a Python dict, nor the text of a JSON object.

  What the grader sends nearly always is the repr of a dict with the three fields in their order,
  all of them strings, without escapes. Cut at its quotes and written again around the pieces it
  must be the same text, so every quote was a delimiter. Anything else goes to the function
  read_passback_text, which takes thirty times as long.
#}
{% macro parse_passback_params(json_sql, text_sql, parts_sql) -%}
    {%- set fields = ['oauth_consumer_key', 'lis_result_sourcedid', 'lis_outcome_service_url'] -%}
    {%- set values_sql = [parts_sql ~ '[4]', parts_sql ~ '[8]', parts_sql ~ '[12]'] %}
    case
        when {{ text_sql }} = '{'''
            {%- for field in fields %}
            || '{{ field }}'': ''' || {{ values_sql[loop.index0] }} || '''{{ ", ''" if not loop.last else "}" }}'
            {%- endfor %}
            and {{ text_sql }} !~ '[\\\n\r]'
            then array['sss', {{ values_sql | join(', ') }}]
        when {{ text_sql }} is not null then {{ function_name('read_passback_text') }}({{ text_sql }})
        when jsonb_typeof({{ json_sql }}) = 'object'
            then array[
                {%- for field in fields %}
                {{ '|| ' if not loop.first }}case coalesce(jsonb_typeof({{ json_sql }} -> '{{ field }}'), 'missing')
                    when 'string' then 's' when 'null' then 'n' when 'missing' then 'm' else 'x'
                end
                {%- endfor %}
                {%- for field in fields %},
                {{ json_sql }} ->> '{{ field }}'
                {%- endfor %}
            ]
    end
{%- endmacro %}


{#
  `is_correct` (jsonb) -> 'null', 'false' or 'true'; NULL where it is none of them. Missing counts
  as null, 0.0 and 1.0 as 0 and 1.
#}
{% macro parse_verdict(json_sql) -%}
    case
        when coalesce(jsonb_typeof({{ json_sql }}), 'null') = 'null' then 'null'
        when {{ json_sql }} in ('0', 'false') then 'false'
        when {{ json_sql }} in ('1', 'true') then 'true'
    end
{%- endmacro %}

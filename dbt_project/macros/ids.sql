{#
  A key from several columns: md5 over the values, each with its length in bytes before it, so that
  no two different lists of values give one text. NULL differs from the empty text. 32 hexadecimal
  digits.
#}
{% macro hash_text(expressions) -%}
    md5(
        {%- for expression in expressions %}
        {{ '|| ' if not loop.first }}coalesce(octet_length({{ expression }}) || ':' || {{ expression }}, '-')
        {%- endfor %}
    )
{%- endmacro %}


{#
  The same as uuid, led by the minutes from 2000 to an instant, in the first four bytes: keys of one
  time are neighbours in an index, so a day's new rows fill a few of its pages instead of touching
  one each. For instants of the years 2000 to 10000.
#}
{% macro timed_hash_id(instant, expressions) -%}
    (
        lpad(to_hex(extract(epoch from {{ instant }})::bigint / 60 - 15778080), 8, '0')
        || substr({{ hash_text(expressions) }}, 9)
    )::uuid
{%- endmacro %}


{#
  The key of the task of an attempt: course and block, or the whole sourcedid where that can't be
  split.
#}
{% macro task_id(attempts) -%}
    {{ hash_text([
        attempts ~ '.course_key', 'coalesce(' ~ attempts ~ '.block_id, ' ~ attempts ~ '.lis_result_sourcedid)'
    ]) }}
{%- endmacro %}

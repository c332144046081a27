{#
  A 16-byte key from several columns: md5 over the values, each with its length in bytes before it, so that no two different lists of
  values give one text. NULL differs from the empty text.
#}
{% macro hash_id(expressions) -%}
    {{ hash_text(expressions) }}::uuid
{%- endmacro %}


{#
  The same, led by the minutes from 2000 to an instant, in the first four bytes. What happens together gets keys that are neighbours in
  an index, so that a day's new rows fill a few of its pages instead of touching one each, all over it. For instants of the years 2000
  to 10000.
#}
{% macro timed_hash_id(instant, expressions) -%}
    (lpad(to_hex(extract(epoch from {{ instant }})::bigint / 60 - 15778080), 8, '0') || substr({{ hash_text(expressions) }}, 9))::uuid
{%- endmacro %}


{# The hash as 32 hexadecimal digits. #}
{% macro hash_text(expressions) -%}
    md5(
        {%- for expression in expressions %}
        {{ '|| ' if not loop.first }}coalesce(octet_length({{ expression }}) || ':' || {{ expression }}, '-')
        {%- endfor %}
    )
{%- endmacro %}

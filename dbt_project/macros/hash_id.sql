{#
  A 16-byte key from several columns: md5 over the values, each with its length in bytes before it, so that no two different lists of
  values give one text. NULL differs from the empty text.
#}
{% macro hash_id(expressions) -%}
    md5(
        {%- for expression in expressions %}
        {{ '|| ' if not loop.first }}coalesce(octet_length({{ expression }}) || ':' || {{ expression }}, '-')
        {%- endfor %}
    )::uuid
{%- endmacro %}

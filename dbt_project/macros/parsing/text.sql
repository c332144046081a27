{#
  True for a text of nothing but white space (Unicode's White_Space and the ASCII separators 1C-1F,
  as Python's str.isspace). The first character decides nearly always.
#}
{% macro is_blank(text_sql) -%}
    {%- set space = '\\0009\\000A\\000B\\000C\\000D\\001C\\001D\\001E\\001F\\0020\\0085\\00A0\\1680\\2000\\2001\\2002'
        ~ '\\2003\\2004\\2005\\2006\\2007\\2008\\2009\\200A\\2028\\2029\\202F\\205F\\3000' -%}
    case when ascii({{ text_sql }}) between 33 and 126 then false else btrim({{ text_sql }}, U&'{{ space }}') = '' end
{%- endmacro %}


{# A text that is blank as the empty text, any other as it is. #}
{% macro blank_as_empty(text_sql) -%}
    case when {{ is_blank(text_sql) }} then '' else {{ text_sql }} end
{%- endmacro %}


{#
  True for a text of more than `most` characters. The number of bytes, which is at hand, decides
  nearly always.
#}
{% macro is_longer(text_sql, most) -%}
    (octet_length({{ text_sql }}) > {{ most }} and length({{ text_sql }}) > {{ most }})
{%- endmacro %}

{#
  percent_decode(source text) -> text: percent-encoding (RFC 3986) decoded as UTF-8, as Python's
  urllib.parse.unquote does: bytes that are no UTF-8 become U+FFFD, one for each maximal part of a
  sequence (Unicode 3.9), and so does NUL, which PostgreSQL cannot hold. A percent sign without two
  hexadecimal digits stands for itself.
#}
{% macro create_percent_decode() -%}
create or replace function {{ function_name('percent_decode') }}(source text)
returns text
language sql
immutable parallel safe
as $function$
    select
        case
            when coalesce(strpos(source, '%'), 0) = 0 then source
            else (
                select
                    coalesce(string_agg(
                        case
                            when unit ~* ('^(?:%[0-7].|%(?:c[2-9a-f]|d.)%..|%e.%..%..|%f.%..%..%..)$') and unit <> '%00'
                                then convert_from(decode(replace(unit, '%', ''), 'hex'), 'UTF8')
                            when unit ~* '^%[0-9a-f]{2}' then U&'\FFFD'
                            else unit
                        end, '' order by unit_no
                    ), '')
                from regexp_matches(
                    source,
                    '('
                    || '%[0-7][0-9a-f]'
                    || '|%(?:c[2-9a-f]|d[0-9a-f])%[89ab][0-9a-f]'
                    || '|%(?:e0%[ab][0-9a-f]|e[1-9abcef]%[89ab][0-9a-f]|ed%[89][0-9a-f])(?:%[89ab][0-9a-f])?'
                    || '|%(?:f0%[9ab][0-9a-f]|f[1-3]%[89ab][0-9a-f]|f4%8[0-9a-f])(?:%[89ab][0-9a-f]){0,2}'
                    || '|%[0-9a-f]{2}'
                    || '|[^%]+'
                    || '|%'
                    || ')',
                    'gi'
                ) with ordinality as units (found, unit_no)
                cross join lateral (values (found[1])) as one (unit)
            )
        end
$function$;
{%- endmacro %}

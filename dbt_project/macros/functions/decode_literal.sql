{#
  decode_literal(literal text, language text) -> text: the value of a string literal with its
  quotes.

  Knows the escapes that Python's repr writes (language 'python') or those of RFC 8259 (language
  'json', where a pair of surrogates is one character). What PostgreSQL cannot hold, NUL and lone
  surrogates, becomes U+FFFD. The literal must have been recognised by read_literal_fields: nothing
  is checked again.
#}
{% macro create_decode_literal() -%}
create or replace function {{ function_name('decode_literal') }}(literal text, language text)
returns text
language sql
immutable parallel safe
as $function$
    select
        case
            when strpos(literal, '\') = 0 then substr(literal, 2, length(literal) - 2)
            else (
                select
                    coalesce(string_agg(
                        case
                            when left(unit, 1) <> '\' then unit
                            when unit ~ '^\\u....\\u' then chr(
                                65536
                                + ((('x' || substr(unit, 3, 4))::bit(16)::int - 55296) << 10)
                                + (('x' || substr(unit, 9, 4))::bit(16)::int - 56320)
                            )
                            when substr(unit, 2, 1) in ('x', 'u', 'U') then (
                                select
                                    case
                                        when code = 0 or code between 55296 and 57343 then U&'\FFFD'
                                        else chr(code)
                                    end
                                from (values (('x' || lpad(substr(unit, 3), 8, '0'))::bit(32)::int)) as hex (code)
                            )
                            else translate(substr(unit, 2), 'nrtbf', e'\n\r\t\b\f')
                        end, '' order by unit_no
                    ), '')
                from regexp_matches(
                    substr(literal, 2, length(literal) - 2),
                    case
                        when language = 'json'
                            then '(\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]+)'
                        else '(\\x..|\\u....|\\U........|\\.|[^\\]+)'
                    end,
                    'g'
                ) with ordinality as units (found, unit_no)
                cross join lateral (values (found[1])) as one (unit)
            )
        end
$function$;
{%- endmacro %}

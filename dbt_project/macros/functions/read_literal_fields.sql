{#
  read_literal_fields(source text, language text) -> text[]: reads a whole text as the repr of a
  Python dict (language 'python') or as a JSON object ('json'), exactly, executing nothing. Returns
  NULL where it is neither, otherwise

      {kinds, oauth_consumer_key, lis_result_sourcedid, lis_outcome_service_url}

  where `kinds` has a letter for each of the three: s a string (its text follows), n None or null, m
  missing, x anything else.

    1. String literals are cut out, with the escapes that repr or JSON writes and no others, and
       numbered marks take their place, so that punctuation inside strings is out of the way. A
       quote left over is an error.
    2. Numbers, True, None and so on become marks; then white space goes. What stands before one is
       captured and put back: a lookbehind would read the text from its start again for every match.
    3. Brackets are folded from the inside out: a tuple of hashable values becomes one hashable
       mark, a list, dict or set an unhashable one, until only the outermost dict's own pairs are
       left (100 levels at most).
    4. What has the shape of pairs then is read: the last pair of a key counts, as in Python and in
       jsonb.

  Marks: \x01 number \x01 a string; \x02 another hashable value; \x03 an unhashable value; \x04
  None. They cannot be mistaken for content: repr escapes control characters and JSON forbids them,
  so a text that holds one is refused.
#}
{% macro create_read_literal_fields() -%}
    {%- set hashable = '(?:\\x01[0-9]+\\x01|[\\x02\\x04])' -%}
    {%- set any = '(?:\\x01[0-9]+\\x01|[\\x02-\\x04])' -%}
    {%- set pairs = hashable ~ ':' ~ any ~ '(?:,' ~ hashable ~ ':' ~ any ~ ')*' -%}
    {%- set number = '(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?' -%}
    {%- set text_escape = "\\\\(?:[\\\\''\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U(?:000[0-9a-f]|0010)[0-9a-f]{4})" -%}
    {%- set bytes_escape = "\\\\(?:[\\\\''\"nrt]|x[0-9a-f]{2})" -%}
create or replace function {{ function_name('read_literal_fields') }}(source text, language text)
returns text[]
language plpgsql
immutable parallel safe
as $function$
declare
    outline constant text := case language
        when 'json' then '^[ \t\n\r]*[{].*[}][ \t\n\r]*$'
        else '^[{].*[}]$'
    end;
    string_literal constant text := case language
        when 'json' then '("(?:[^"\\\x01-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
        else
            '(''(?:[^''\\\n\r]|{{ text_escape }})*'''
            || '|"(?:[^"\\\n\r]|{{ text_escape }})*"'
            || '|b''(?:[ -&(-[\]-~]|{{ bytes_escape }})*'''
            || '|b"(?:[ !#-[\]-~]|{{ bytes_escape }})*")'
    end;
    none constant text := case language
        when 'json' then '(^|[ \t\n\r:,[])null(?=$|[ \t\n\r,}\]])'
        else '(^|[ \t\n\r:,({[])None(?=$|[ \t\n\r:,)}\]])'
    end;
    scalar constant text := case language
        when 'json' then '(^|[ \t\n\r:,[])(?:true|false|-?{{ number }})(?=$|[ \t\n\r,}\]])'
        else
            '(^|[ \t\n\r:,({[])'
            || '(?:True|False|-?{{ number }}j?|[(]-?{{ number }}[+-]{{ number }}j[)])'
            || '(?=$|[ \t\n\r:,)}\]])'
    end;
    empty_set constant text := case language when 'json' then '(?!)' else 'set[(][)]' end;
    hashable_collection constant text := case language
        when 'json' then '(?!)'
        else '[(](?:{{ hashable }},|{{ hashable }}(?:,{{ hashable }})+)?[)]'
    end;
    collection constant text := case language
        when 'json' then '\[(?:{{ any }}(?:,{{ any }})*)?\]|[{](?:{{ pairs }})?[}]'
        else
            '[(](?:{{ any }},)*\x03(?:,{{ any }})*,?[)]'
            || '|\[(?:{{ any }}(?:,{{ any }})*)?\]'
            || '|[{](?:{{ pairs }}|{{ hashable }}(?:,{{ hashable }})*)?[}]'
    end;
    body text;
    literals text[];
    skeleton text;
    before text;
begin
    if source !~ outline or source ~ '[\x01-\x04]' then
        return null;
    end if;

    body := regexp_replace(regexp_replace(source, '^[ \t\n\r]*[{]', ''), '[}][ \t\n\r]*$', '');
    literals := array(select groups[1] from regexp_matches(body, string_literal, 'g') as matches (groups));
    skeleton := (
        select
            string_agg(
                piece || case when piece_no <= cardinality(literals) then e'\x01' || piece_no || e'\x01' else '' end,
                '' order by piece_no
            )
        from unnest(regexp_split_to_array(body, string_literal)) with ordinality as pieces (piece, piece_no)
    );
    skeleton := regexp_replace(skeleton, empty_set, e'\x03', 'g');
    skeleton := regexp_replace(skeleton, none, e'\\1\x04', 'g');
    skeleton := regexp_replace(skeleton, scalar, e'\\1\x02', 'g');
    skeleton := regexp_replace(skeleton, '[ \t\n\r]+', '', 'g');

    for level in 1..100 loop
        exit when skeleton = before or skeleton !~ '[][(){}]';
        before := skeleton;
        skeleton := regexp_replace(skeleton, hashable_collection, e'\x02', 'g');
        skeleton := regexp_replace(skeleton, collection, e'\x03', 'g');
    end loop;

    if skeleton !~ '^(?:{{ pairs }})?$' then
        return null;
    end if;

    return (
        with pairs as (
            select
                pair_no,
                literals[trim(e'\x01' from split_part(pair, ':', 1))::int] as key_literal,
                split_part(pair, ':', 2) as value_mark
            from string_to_table(skeleton, ',') with ordinality as pairs (pair, pair_no)
            where pair like e'\x01%'
        ),

        fields as (
            select distinct on (field)
                decoded.field,
                pairs.value_mark,
                case
                    when pairs.value_mark like e'\x01%' then literals[trim(e'\x01' from pairs.value_mark)::int]
                end as literal
            from pairs
            cross join lateral (
                select {{ function_name('decode_literal') }}(pairs.key_literal, language) as field
                where pairs.key_literal not like 'b%'
            ) as decoded
            where decoded.field in ('oauth_consumer_key', 'lis_result_sourcedid', 'lis_outcome_service_url')
            order by decoded.field, pairs.pair_no desc
        ),

        judged as (
            select
                field,
                case when literal ~ '^[''"]' then 's' when value_mark = e'\x04' then 'n' else 'x' end as kind,
                case when literal ~ '^[''"]' then {{ function_name('decode_literal') }}(literal, language) end as value
            from fields
        )

        select array[
            coalesce(max(kind) filter (where field = 'oauth_consumer_key'), 'm')
            || coalesce(max(kind) filter (where field = 'lis_result_sourcedid'), 'm')
            || coalesce(max(kind) filter (where field = 'lis_outcome_service_url'), 'm'),
            max(value) filter (where field = 'oauth_consumer_key'),
            max(value) filter (where field = 'lis_result_sourcedid'),
            max(value) filter (where field = 'lis_outcome_service_url')
        ]
        from judged
    );
end
$function$;
{%- endmacro %}

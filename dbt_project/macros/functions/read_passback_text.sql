{#
  read_passback_text(source text) -> text[]: `passback_params` as it comes in a string; NULL where
  it is unreadable. See read_literal_fields for the result.

  A text whose first key is in double quotes is tried as JSON first: repr writes such a key only
  when it holds an apostrophe.
#}
{% macro create_read_passback_text() -%}
create or replace function {{ function_name('read_passback_text') }}(source text)
returns text[]
language plpgsql
immutable parallel safe
as $function$
begin
    if source ~ '^[ \t\n\r]*[{][ \t\n\r]*["}]' then
        return coalesce(
            {{ function_name('read_literal_fields') }}(source, 'json'),
            {{ function_name('read_literal_fields') }}(source, 'python')
        );
    end if;
    return {{ function_name('read_literal_fields') }}(source, 'python');
end
$function$;
{%- endmacro %}

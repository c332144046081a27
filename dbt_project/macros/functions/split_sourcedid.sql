{#
  split_sourcedid(sourcedid text) -> text[]: {course key, block id} of a `<course key>:<host>-<block
  id>:<learner>`, NULL where one of the four is missing or empty. Split from the right, for course
  keys hold colons and hosts hyphens; the course key is percent-decoded.
#}
{% macro create_split_sourcedid() -%}
create or replace function {{ function_name('split_sourcedid') }}(sourcedid text)
returns text[]
language plpgsql
immutable parallel safe
as $function$
declare
    learner constant text := split_part(sourcedid, ':', -1);
    place constant text := split_part(sourcedid, ':', -2);
    block constant text := split_part(place, '-', -1);
    course_key constant text := left(sourcedid, -(length(place) + length(learner) + 2));
begin
    if learner = '' or block = '' or length(place) < length(block) + 2 or coalesce(course_key, '') = '' then
        return null;
    end if;
    if strpos(course_key, '%') > 0 then
        return array[{{ function_name('percent_decode') }}(course_key), block];
    end if;
    return array[course_key, block];
end
$function$;
{%- endmacro %}

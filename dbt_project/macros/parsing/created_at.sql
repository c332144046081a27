{#
  `created_at` as the API writes it -> timestamptz, NULL where it is no real date and time.

  Accepted: YYYY-MM-DD, a space or T, HH:MM:SS, up to six decimals, then nothing, Z or an offset
  ±HH:MM (none means UTC); ASCII digits only. PostgreSQL's own cast is lenient in some ways and
  raises in others, so the shape is looked at first (every digit taken for a 0), then the ranges;
  only what passes both is cast.

  `text_sql`   an SQL expression: the text
  `shape_sql`  an SQL expression: translate(text, '0123456789', '0000000000'), computed once
  beforehand
#}
{% macro parse_created_at(text_sql, shape_sql) -%}
    {%- set year = 'substr(' ~ text_sql ~ ', 1, 4)::int' -%}
    {%- set month = 'substr(' ~ text_sql ~ ', 6, 2)::int' -%}
    {%- set day = 'substr(' ~ text_sql ~ ', 9, 2)::int' %}
    case
        when not coalesce(
            {{ shape_sql }} in ('0000-00-00 00:00:00.000000', '0000-00-00T00:00:00.000000')
            or {{ shape_sql }} ~ '^0000-00-00[ T]00:00:00([.]0{1,6})?(Z|[+-]00:00)?$',
            false
        ) then null
        when {{ year }} < 1999
            or {{ month }} not between 1 and 12
            or substr({{ text_sql }}, 12, 2)::int > 23
            or substr({{ text_sql }}, 15, 2)::int > 59
            or substr({{ text_sql }}, 18, 2)::int > 59
            then null
        when {{ day }} not between 1 and 31 then null
        when {{ day }} > 28
            and {{ day }} > extract(day from make_date({{ year }}, {{ month }}, 1) + interval '1 month - 1 day')
            then null
        when {{ shape_sql }} like '%+00:00' or {{ shape_sql }} like '%:%-00:00'
            then
                case
                    when left(right({{ text_sql }}, 5), 2)::int <= 23 and right({{ text_sql }}, 2)::int <= 59
                        then
                            (left({{ text_sql }}, -6)::timestamp at time zone 'UTC')
                            - (left(right({{ text_sql }}, 6), 1) || right({{ text_sql }}, 5))::interval
                end
        else rtrim({{ text_sql }}, 'Z')::timestamp at time zone 'UTC'
    end
{%- endmacro %}

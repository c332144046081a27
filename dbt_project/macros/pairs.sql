{#
  A pair is a learner on a task. What is written once for all marts that read pairs: their instants, the
  time spent on them, and what they say of the learner.
#}

{#
  Every attempt of `attempts` beside the first instants of its pair, the next attempt, the active
  seconds up to it (the whole gap if it is shorter than ten minutes), and whether that time was lost:
  after the first wrong submit and not after the first correct one. At one instant a correct submit
  comes first. Only submits have a verdict.
#}
{% macro attempts_of_pairs(attempts) -%}
    select
        *,
        case
            when next_at - created_at < interval '600 seconds' then extract(epoch from next_at - created_at)
            else 0
        end as active_seconds,
        first_wrong_at < coalesce(first_correct_at, 'infinity')
        and created_at >= first_wrong_at
        and next_at <= coalesce(first_correct_at, 'infinity') as is_lost

    from (
        select
            *,
            min(created_at) filter (where attempt_type = 'submit') over pair as first_submit_at,
            min(created_at) filter (where is_correct is not null) over pair as first_graded_at,
            min(created_at) filter (where not is_correct) over pair as first_wrong_at,
            min(created_at) filter (where is_correct) over pair as first_correct_at,
            lead(created_at) over (pair order by created_at) as next_at
        from {{ attempts }}
        window pair as (partition by user_id, task_id)
    ) as timed
{%- endmacro %}


{#
  Whether a pair (columns of learner_tasks) has an attempt on one of the last `days` days up to the
  last full one, or later. `as_of` is a CTE; the instant is looked up once, not for each pair.
#}
{% macro is_recent(days, as_of='as_of') -%}
    last_attempt_at >= (select {{ day_begins('(as_of_day - ' ~ (days - 1) ~ ')') }} from {{ as_of }})
{%- endmacro %}


{#
  Whether a pair (columns of learner_tasks) makes its learner stuck on the last full day: much work
  of late and no correct submit.
#}
{% macro is_stuck() -%}
    (status = 'unsolved' and (graded_submits >= 10 or active_seconds >= 1800) and {{ is_recent(14) }})
{%- endmacro %}


{# The course that marts by course count an attempt or a pair under. #}
{% macro course(course_key) -%}
    coalesce({{ course_key }}, '(no course)')
{%- endmacro %}


{# The order of tasks that are otherwise equal. #}
{% macro task_order(tasks=none) -%}
    {%- set prefix = tasks ~ '.' if tasks else '' -%}
    {{ prefix }}course_key collate "C", {{ prefix }}block_id collate "C", {{ prefix }}task_id collate "C"
{%- endmacro %}


{#
  The address of a task in the learning platform, from the one that its grades are sent to:
  https://host/courses/COURSE/xblock/BLOCK/handler... gives https://host/courses/COURSE/jump_to/BLOCK,
  anything else NULL. A course is one segment of the path or three. Taken apart at the slashes, because
  a regular expression with captures takes a hundred times as long.
#}
{% macro lms_url(url) -%}
    (
        select
            case
                when not (parts[1] in ('http:', 'https:') and parts[2] = '' and parts[3] <> '' and parts[4] = 'courses')
                    then null
                {%- for segments in [1, 3] %}
                when '' <> all(parts[5:{{ 4 + segments }}])
                    and parts[{{ 5 + segments }}] = 'xblock'
                    and parts[{{ 6 + segments }}] <> ''
                    and starts_with(parts[{{ 7 + segments }}], 'handler')
                    then array_to_string(parts[1:{{ 4 + segments }}], '/') || '/jump_to/' || parts[{{ 6 + segments }}]
                {%- endfor %}
            end
        from (select string_to_array(split_part(split_part({{ url }}, '?', 1), '#', 1), '/') as parts) as address
    )
{%- endmacro %}


{#
  Every attempt of `attempts` with the address of its task. There are few addresses, and each is taken
  apart once.
#}
{% macro attempts_with_lms_url(attempts) -%}
    select
        {{ attempts }}.*,
        urls.lms_url

    from {{ attempts }}

    left join (
        select
            url,
            {{ lms_url('url') }} as lms_url
        from (select distinct lis_outcome_service_url as url from {{ attempts }}) as distinct_urls
    ) as urls on {{ attempts }}.lis_outcome_service_url = urls.url
{%- endmacro %}


{# {organisation, course, run} of a course key in one of its two forms, or NULL. #}
{% macro course_parts(course_key) -%}
    {%- set part = '([^+/:]+)' -%}
    coalesce(
        regexp_match({{ course_key }}, '^course-v1:{{ part }}\+{{ part }}\+{{ part }}$'),
        regexp_match({{ course_key }}, '^{{ part }}/{{ part }}/{{ part }}$')
    )
{%- endmacro %}


{# A long key as people can tell it from its neighbours: its beginning and its end. #}
{% macro short_key(key) -%}
    case when length({{ key }}) > 12 then left({{ key }}, 4) || '…' || right({{ key }}, 4) else {{ key }} end
{%- endmacro %}


{# A course key as people say it: course and run where it has the usual form. #}
{% macro short_course(course_key) -%}
    coalesce(array_to_string(({{ course_parts(course_key) }})[2:3], ' '), {{ course_key }})
{%- endmacro %}

{#
  The metrics over the valid attempts with start <= created_at < end: one row, or, `by` 'course_key' or
  'task_id', one for each with an attempt (a learner is new where the first attempt on that key is).
  `start` and `end_` are texts of instants with their offset. The calendar days of the window narrow
  the search first, because the days are what the mart is indexed by; two more on either side, because
  the mart's days may still be those of another zone than the one set now.
#}
{% macro period_metrics(start, end_, by=none) -%}
{%- set first_day = report_date("timestamptz '" ~ start ~ "'") ~ ' - 2' -%}
{%- set last_day = report_date("timestamptz '" ~ end_ ~ "'") ~ ' + 2' -%}
{%- set key = course('course_key') if by == 'course_key' else by -%}
with attempts as (

    select * from {{ ref('attempts') }} where not is_excluded

),

-- `not materialized`: what is read more than once is read by its indexes, not copied as a whole
-- first
learner_tasks as not materialized (

    select * from {{ ref('learner_tasks') }}

),

learners as (

    select
        user_id,
        {% if by %}{{ key }} as key,{% endif %}
        {{ learner_counts() }}

    from attempts

    where activity_date between {{ first_day }} and {{ last_day }}
        and created_at >= timestamptz '{{ start }}'
        and created_at < timestamptz '{{ end_ }}'

    group by user_id{{ ', ' ~ key if by }}

),

counts as (

    select
        {% if by %}key,{% endif %}
        {{ set_counts() }}

    from learners
    {% if by %}group by key{% endif %}

),

first_correct as (

    select
        {% if by %}{{ key }} as key,{% endif %}
        {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks

    where first_correct_date between {{ first_day }} and {{ last_day }}
        and first_correct_at >= timestamptz '{{ start }}'
        and first_correct_at < timestamptz '{{ end_ }}'

    {% if by %}group by {{ key }}{% endif %}

),

new_users as (

    select
        {% if by %}key,{% endif %}
        count(*) as new_users

    from learners

    where not exists (
        select 1
        from learner_tasks
        where learner_tasks.user_id = learners.user_id
            and learner_tasks.first_attempt_at < timestamptz '{{ start }}'
            {% if by %}and {{ key }} = learners.key{% endif %}
    )
    {% if by %}group by key{% endif %}

)

select
    {% if by %}counts.key as {{ by }},{% endif %}
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    {{ 'coalesce(new_users.new_users, 0) as new_users' if by else 'new_users.new_users' }}

from counts
{% if by %}

left join first_correct on counts.key = first_correct.key

left join new_users on counts.key = new_users.key

order by counts.attempts desc, counts.key
{% else %}

cross join first_correct

cross join new_users
{% endif %}
{%- endmacro %}

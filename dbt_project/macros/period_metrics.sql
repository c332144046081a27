{#
  One row: the metrics over the valid attempts with start <= created_at < end. `start` and `end_`
  are texts of instants with their offset. The calendar days of the window narrow the search first,
  because the days are what the mart is indexed by; two more on either side, because the mart's days
  may still be those of another zone than the one set now.
#}
{% macro period_metrics(start, end_) -%}
{%- set first_day = report_date("timestamptz '" ~ start ~ "'") ~ ' - 2' -%}
{%- set last_day = report_date("timestamptz '" ~ end_ ~ "'") ~ ' + 2' -%}
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
        {{ learner_counts() }}

    from attempts

    where activity_date between {{ first_day }} and {{ last_day }}
        and created_at >= timestamptz '{{ start }}'
        and created_at < timestamptz '{{ end_ }}'

    group by user_id

),

counts as (

    select
        {{ set_counts() }}

    from learners

),

first_correct as (

    select {{ avg_attempts_to_first_correct() }} as avg_attempts_to_first_correct

    from learner_tasks

    where first_correct_date between {{ first_day }} and {{ last_day }}
        and first_correct_at >= timestamptz '{{ start }}'
        and first_correct_at < timestamptz '{{ end_ }}'

),

new_users as (

    select count(*) as new_users

    from learners

    where not exists (
        select 1
        from learner_tasks
        where learner_tasks.user_id = learners.user_id
            and learner_tasks.first_attempt_at < timestamptz '{{ start }}'
    )

)

select
    {{ set_metrics('counts') }},
    first_correct.avg_attempts_to_first_correct,
    new_users.new_users

from counts

cross join first_correct

cross join new_users
{%- endmacro %}

{#
  The metrics, written once: daily_metrics takes them over each calendar day, period_metrics over
  any window. Both count in two steps, first for each learner of the set, then over the learners.
#}

{#
  Step one: what one learner did in the set; from rows of the mart `attempts`, grouped by learner.
  Rows that are summed again are better integers: sums of bigint are numeric inside, and twice as slow.
#}
{% macro learner_counts(type='bigint') -%}
    count(*)::{{ type }} as attempts,
    (count(*) filter (where attempt_type = 'run'))::{{ type }} as runs,
    (count(*) filter (where attempt_type = 'submit'))::{{ type }} as submits,
    (count(*) filter (where attempt_type = 'submit' and is_correct is not null))::{{ type }} as graded_submits,
    (count(*) filter (where attempt_type = 'submit' and is_correct))::{{ type }} as correct_submits
{%- endmacro %}


{# Step two: sums over the learners of the set; from rows with the columns of step one. #}
{% macro set_counts() -%}
    {%- for column in ['attempts', 'runs', 'submits', 'graded_submits', 'correct_submits'] %}
    coalesce(sum({{ column }}), 0)::bigint as {{ column }},
    {%- endfor %}
    count(user_id) as unique_users,
    count(user_id) filter (where correct_submits = 0) as users_without_correct
{%- endmacro %}


{#
  The learners whose first attempt of all history is in a calendar day, week or month (`unit`; `column`
  names its first day), from `first_day` on (a text).
#}
{% macro new_users(unit, column, first_day) -%}
    select
        {{ first_day_of(unit, 'first_day') }} as {{ column }},
        count(*) as new_users

    from (select min(first_day) as first_day from {{ ref('int_learner_course_totals') }} group by user_id) as learners

    where first_day >= date '{{ first_day }}'

    group by {{ first_day_of(unit, 'first_day') }}
{%- endmacro %}


{#
  Step three: the metrics of a set with the columns of step two. A ratio is NULL where there is
  nothing to divide by.
#}
{% macro set_metrics(counts) -%}
    {{ counts }}.attempts,
    {{ counts }}.runs,
    {{ counts }}.submits,
    {{ counts }}.correct_submits,
    {{ ratio(counts ~ '.correct_submits', counts ~ '.graded_submits') }} as success_rate,
    {{ counts }}.unique_users,
    {{ ratio(counts ~ '.attempts', counts ~ '.unique_users') }} as attempts_per_user,
    {{ counts }}.users_without_correct
{%- endmacro %}


{#
  Over rows of the mart `learner_tasks` whose first correct submit of all history lies in the set.
#}
{% macro avg_attempts_to_first_correct() -%}
    avg(attempts_to_first_correct)
{%- endmacro %}


{#
  For each day of the CTE `calendar`, the distinct learners of the 7 and 30 days that end with it.
  `next_days` names a CTE: of the learners active on activity_date, how many were active next on
  next_date (NULL: never again). A learner joins on each active day and leaves 7 (or 30) days later,
  or when the next active day takes over; the running sum of both is the count.
#}
{% macro rolling_uniques(next_days) -%}
    select
        activity_date,
        sum(sum(change_7d)) over (order by activity_date) as unique_users_7d,
        sum(sum(change_30d)) over (order by activity_date) as unique_users_30d

    from (
        select activity_date, learners as change_7d, learners as change_30d from {{ next_days }}
        union all
        select least(activity_date + 7, next_date), -learners, 0 from {{ next_days }}
        union all
        select least(activity_date + 30, next_date), 0, -learners from {{ next_days }}
        union all
        select activity_date, 0, 0 from calendar
    ) as changes

    group by activity_date
{%- endmacro %}


{# Sums of the columns of step one, of a relation where several have them. #}
{% macro sums_of_counts(relation=none) -%}
    {%- for column in ['attempts', 'runs', 'submits', 'graded_submits', 'correct_submits'] %}
    sum({{ relation ~ '.' if relation }}{{ column }})::bigint as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{# A share: NULL where there is nothing to divide by. #}
{% macro ratio(part, whole) -%}
    {{ part }}::numeric / nullif({{ whole }}, 0)
{%- endmacro %}


{# The smallest value that at least this share of the values doesn't exceed; NULLs don't count. #}
{% macro quantile(share, value) -%}
    percentile_disc({{ share }}) within group (order by {{ value }})
{%- endmacro %}


{#
  Over pairs (rows of learner_tasks) that began while we looked, for the 1st to the `most`th graded
  submit: of those that came as far without a correct one, the share that is correct then.
#}
{% macro success_by_attempt(most) -%}
    array[
        {%- for number in range(1, most + 1) %}
        avg((submits_to_first_correct is not distinct from {{ number }})::int) filter (
            where not is_left_censored and coalesce(submits_to_first_correct, graded_submits) >= {{ number }}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}


{# The median of numeric values, exactly: the mean of the two in the middle; no value may be NULL. #}
{% macro median(value) -%}
    (
        (array_agg({{ value }} order by {{ value }}))[(count(*) + 1) / 2]
        + (array_agg({{ value }} order by {{ value }}))[(count(*) + 2) / 2]
    ) / 2
{%- endmacro %}


{#
  How surprising a success rate over n graded submits is, after a baseline over another set: the
  logarithm of the likelihood of the rate that was seen over that of the baseline's (both binomial). A
  baseline of 0 or 1 is taken as half a submit away from it. NULL where either set is empty.
#}
{% macro log_likelihood_ratio(submits, rate, baseline_submits, baseline_rate) -%}
    {%- set baseline -%}
        case {{ baseline_rate }}
            when 0 then 0.5 / {{ baseline_submits }}
            when 1 then 1 - 0.5 / {{ baseline_submits }}
            else {{ baseline_rate }}
        end
    {%- endset -%}
    {{ submits }} * (
        case when {{ rate }} = 0 then 0 else {{ rate }} * ln({{ rate }} / ({{ baseline }})) end
        + case when {{ rate }} = 1 then 0 else (1 - {{ rate }}) * ln((1 - {{ rate }}) / (1 - ({{ baseline }}))) end
    )
{%- endmacro %}

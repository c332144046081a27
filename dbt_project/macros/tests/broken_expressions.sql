{#
  One row for each condition that some row of `relation` breaks, with the number of such rows; see
  the generic test `holds`.
#}
{% macro broken_expressions(relation, expressions) -%}
with counts as (

    select
        {%- for expression in expressions %}
        count(*) filter (where not ({{ expression }})) as broken_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}

    from {{ relation }}

),

broken as (

    select
        checks.expression,
        checks.broken_rows

    from counts

    cross join lateral (
        values
        {%- for expression in expressions %}
        (
            {{ dbt.string_literal(dbt.escape_single_quotes(expression)) }},
            counts.broken_{{ loop.index }}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as checks (expression, broken_rows)

    where checks.broken_rows > 0

)

select
    expression,
    broken_rows

from broken
{%- endmacro %}

{%- set key = ['activity_date', 'metric', 'revised_at'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with versions as (

    select * from {{ ref('daily_metrics_history') }}

),

figures as (

    select
        versions.activity_date,
        figure.key as metric,
        figure.value::numeric as value,
        versions.dbt_valid_from

    from versions

    -- one row for each figure; dbt's own columns are not figures
    cross join lateral jsonb_each_text(
        to_jsonb(versions)
        - array['activity_date', 'built_at', 'dbt_scd_id', 'dbt_updated_at', 'dbt_valid_from', 'dbt_valid_to']
    ) as figure (key, value)

),

compared as (

    select
        activity_date,
        metric,
        lag(value) over earlier as old_value,
        value as new_value,
        row_number() over earlier as version_no,
        dbt_valid_from at time zone 'UTC' as revised_at

    from figures

    window earlier as (partition by activity_date, metric order by dbt_valid_from)

)

select
    activity_date,
    metric,
    old_value,
    new_value,
    revised_at

from compared

where version_no > 1
    and old_value is distinct from new_value

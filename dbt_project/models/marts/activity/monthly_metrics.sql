{{ config(
    incremental_strategy='publish',
    unique_key='month_start',
    indexes=[{'columns': ['month_start'], 'unique': true}],
) }}

{{ calendar_metrics('month', 'month_start') }}

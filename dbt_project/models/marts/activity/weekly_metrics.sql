{{ config(
    incremental_strategy='publish',
    unique_key='week_start',
    indexes=[{'columns': ['week_start'], 'unique': true}],
) }}

{{ calendar_metrics('week', 'week_start') }}

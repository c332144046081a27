{{ config(
    incremental_strategy='publish',
    unique_key=['course_key', 'week_start'],
    indexes=[{'columns': ['course_key', 'week_start'], 'unique': true}],
) }}

{{ course_metrics('week', 'week_start') }}

{{ config(
    incremental_strategy='publish',
    unique_key=['course_key', 'activity_date'],
    indexes=[{'columns': ['course_key', 'activity_date'], 'unique': true}],
) }}

{{ course_metrics('day', 'activity_date') }}

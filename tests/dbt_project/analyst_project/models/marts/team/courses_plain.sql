select
    course_key,
    count(*) as attempts,
    count(distinct user_id) as learners,
    count(*) filter (where is_correct) as correct_submits

from {{ ref('attempts') }}

group by course_key

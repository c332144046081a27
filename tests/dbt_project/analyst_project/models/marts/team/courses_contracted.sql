select
    courses.course_key,
    names.course_name,
    courses.attempts

from {{ ref('courses_plain') }} as courses

left join {{ ref('course_names') }} as names
    on courses.course_key = names.course_key

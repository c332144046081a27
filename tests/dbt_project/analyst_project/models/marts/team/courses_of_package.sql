select
    course_key,
    {{ local_package.share('correct_submits', 'attempts') }} as correct_share

from {{ ref('packaged_courses') }}

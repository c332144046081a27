-- On which task do learners leave a course?
-- Read: tasks in the order in which learners meet them. `left_share` is the share of those who reached the
-- task that made their last attempt on it, two weeks ago or longer: a jump against its neighbours is where
-- the course loses people.
select
    course_key,
    position,
    task_id,
    learners_reached,
    round(reached_share, 2) as reached_share,
    round(learners_solved::numeric / learners_reached, 2) as solved_share,
    round(left_here::numeric / learners_reached, 2) as left_share

from {{ ref('course_path') }}

order by course_key, position

"""What the deliveries ask of the marts. They compute nothing: a figure is as dbt published it.

One query for each field of `Figures`, with the relations that have to be there for it. Statistics
of single learners are read for the worksheet that shows them, and only when that is wanted.
"""

from typing import NamedTuple


class Query(NamedTuple):
    """A query and the relations it reads; without one of them it finds nothing."""

    relations: tuple[str, ...]
    sql: str


QUERIES = {
    # The verdicts of the last 90 days, with what was usual for each figure.
    "bands": Query(
        ("marts.daily_verdicts", "marts.as_of"),
        """
        select activity_date, metric, value, expected, band_low, band_high, verdict, day_verdict
        from marts.daily_verdicts
        cross join marts.as_of
        where activity_date > as_of_day - 90
        order by activity_date, metric
        """,
    ),
    # What moved the last full day, the largest effect first.
    "movers": Query(
        ("marts.daily_movers", "marts.tasks", "marts.courses"),
        """
        select
            movers.*,
            coalesce(tasks.title, by_course.title, movers.key) as title,
            coalesce(of_task.title, tasks.course_key, by_course.title, '(no course)') as course_title,
            tasks.lms_url
        from marts.daily_movers as movers
        left join marts.tasks on movers.dimension = 'task' and movers.key = tasks.task_id
        left join marts.courses as of_task on tasks.course_key = of_task.course_key
        left join marts.courses as by_course on movers.dimension = 'course' and movers.key = by_course.course_key
        order by abs(movers.success_effect) desc nulls last, movers.attempts desc, movers.key
        """,
    ),
    "incidents": Query(
        ("marts.task_incidents", "marts.tasks", "marts.courses"),
        """
        select
            incidents.*,
            coalesce(tasks.title, incidents.task_id) as title,
            tasks.lms_url,
            coalesce(courses.title, incidents.course_key, '(no course)') as course_title
        from marts.task_incidents as incidents
        left join marts.tasks on incidents.task_id = tasks.task_id
        left join marts.courses on coalesce(incidents.course_key, '(no course)') = courses.course_key
        order by incidents.llr desc nulls last, incidents.task_id
        """,
    ),
    # By cost; what nobody lost time on comes last.
    "tasks": Query(
        ("marts.tasks", "marts.courses"),
        """
        select tasks.*, coalesce(courses.title, '(no course)') as course_title
        from marts.tasks
        left join marts.courses on coalesce(tasks.course_key, '(no course)') = courses.course_key
        order by repair_rank nulls last, task_id
        """,
    ),
    "courses": Query(
        ("marts.courses",),
        "select * from marts.courses order by learners_active_7d desc, learners desc, course_key",
    ),
    "weekly": Query(("marts.weekly_metrics",), "select * from marts.weekly_metrics order by week_start desc"),
    "monthly": Query(("marts.monthly_metrics",), "select * from marts.monthly_metrics order by month_start desc"),
    "course_days": Query(
        ("marts.course_daily_metrics", "marts.as_of"),
        """
        select course_daily_metrics.*
        from marts.course_daily_metrics
        cross join marts.as_of
        where activity_date > as_of_day - 90 and activity_date <= as_of_day
        order by activity_date, course_key
        """,
    ),
    "course_weeks": Query(
        ("marts.course_weekly_metrics", "marts.as_of"),
        """
        select course_weekly_metrics.*
        from marts.course_weekly_metrics
        cross join marts.as_of
        where week_start > as_of_day - 7 * 105
        order by week_start, course_key
        """,
    ),
    "revisions": Query(
        ("marts.day_revisions",),
        "select * from marts.day_revisions order by revised_at desc, activity_date desc, metric limit 1000",
    ),
    "hours": Query(("marts.activity_hours",), "select * from marts.activity_hours order by weekday, hour"),
    "cohorts": Query(
        ("marts.cohort_retention",),
        "select * from marts.cohort_retention order by cohort_week, weeks_since",
    ),
    "warnings": Query(
        ("marts.warning_scorecard",),
        "select * from marts.warning_scorecard where course_key = '(all)' order by week_start desc",
    ),
    "periods": Query(
        ("ops.periods",),
        "select * from ops.periods order by computed_at desc, window_start, window_end",
    ),
}

LEARNERS = Query(
    ("learners.learner_courses", "marts.courses"),
    """
    select learner_courses.*, coalesce(courses.title, learner_courses.course_key) as course_title
    from learners.learner_courses
    left join marts.courses on learner_courses.course_key = courses.course_key
    where stuck or at_risk
    order by learner_courses.tasks_stuck desc, learner_courses.days_silent, learner_courses.user_id,
        learner_courses.course_key
    """,
)

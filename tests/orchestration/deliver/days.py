"""A last full day with its verdict and all that is told of it, made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from orchestration.deliver.columns import REPAIR
from orchestration.deliver.figures import Figures
from orchestration.summary import DayVerdict, MetricVerdict
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW

PYTHON, SQL = "course-v1:School+PY-1+2026", "course-v1:School+SQL-2+2026"
LMS = "https://lms.example/courses/PY-1/jump_to/a1"
USUAL = {
    "attempts": MetricVerdict("attempts", "normal", 1_212, 1_200, 950, 1_450),
    "rejected_share": MetricVerdict("rejected_share", "normal", 0.005, 0.005, 0, 0.06),
    "success_rate": MetricVerdict("success_rate", "normal", 0.582, 0.57, 0.52, 0.62),
    "unique_users": MetricVerdict("unique_users", "normal", 255, 250, 200, 300),
}
NO_VALUE = dict.fromkeys(("success_rate", "attempts_per_user", "avg_attempts_to_first_correct"))


def told(figures: Figures, **values: Any) -> Figures:
    """These figures with movers, incidents, tasks to repair, and a verdict: by name, (verdict, value) of a metric.

    The day's own row takes the values as well.
    """
    metrics = USUAL | {
        name: replace(USUAL[name], verdict=verdict, value=value) for name, (verdict, value) in values.items()
    }
    found = {figure.verdict for figure in metrics.values()}
    day = next((verdict for verdict in ("suspect", "unusual_low", "unusual_high", "normal") if verdict in found), "")
    last = figures.days[-1]
    verdict: Any = day.split("_")[0] or "no_history"
    own = {name: value for name, (_, value) in values.items() if name in last.values}
    return replace(
        figures,
        days=(*figures.days[:-1], replace(last, values={**last.values, **own})),
        verdict=DayVerdict(LAST_DAY, verdict, tuple(metrics.values())),
        bands=bands(figures),
        movers=(
            mover("course", PYTHON, "PY-1 2026", -0.031, 400, 420),
            mover("course", SQL, "SQL-2 2026", 0.012, 800, 300),
            mover("task", "t1", "Loops", -0.024, 60, 20, course_title="PY-1 2026", lms_url=LMS),
            mover("task", "t2", "Joins", 0.004, 3, 30, course_title="SQL-2 2026", is_small=True),
        ),
        incidents=(incident("t1", "broken"),),
        tasks=(task("t1", 1, 12.3), task("t3", 2, 4.5), task("t4", None, 0.0)),
    )


def bands(figures: Figures) -> tuple[dict[str, Any], ...]:
    """What was usual on every day, for the charts."""
    return tuple(
        {
            "activity_date": day.date,
            "metric": name,
            "value": day.values[name],
            "expected": 0.57 if name == "success_rate" else 1_200,
            "band_low": 0.5 if name == "success_rate" else 900,
            "band_high": 0.64 if name == "success_rate" else 1_500,
            "verdict": "normal",
            "day_verdict": "normal",
        }
        for day in figures.days
        for name in ("attempts", "success_rate")
    )


def mover(dimension: str, key: str, title: str, effect: float, now: int, before: int, **more: Any) -> dict[str, Any]:
    """A row of `daily_movers` as the deliveries read it."""
    return {
        "dimension": dimension,
        "key": key,
        "title": title,
        "course_title": title,
        "attempts": now,
        "attempts_before": before,
        "success_effect": effect,
        "is_small": False,
        "lms_url": None,
        **more,
    }


def incident(task_id: str, kind: str, **more: Any) -> dict[str, Any]:
    """A row of `task_incidents` likewise."""
    return {
        "task_id": task_id,
        "course_key": PYTHON,
        "course_title": "PY-1 2026",
        "title": "Loops",
        "lms_url": LMS,
        "kind": kind,
        "graded_submits": 24,
        "success_rate": 0.083,
        "baseline_graded_submits": 359,
        "baseline_success_rate": 0.579,
        "llr": 13.2,
        "learners": 12,
        "solved_before_failing_now": 7,
        "is_small": False,
        **more,
    }


def task(task_id: str, rank: int | None, hours: float, **more: Any) -> dict[str, Any]:
    """A row of `tasks` likewise."""
    return {
        **dict.fromkeys(REPAIR.names),
        "task_id": task_id,
        "title": {"t1": "Loops"}.get(task_id, task_id),
        "course_title": "PY-1 2026",
        "lms_url": LMS if task_id == "t1" else None,
        "repair_rank": rank,
        "learner_hours_lost_28d": hours,
        "learners": 60,
        "solve_rate": 0.2,
        "is_small": False,
        **more,
    }


def revision(metric: str, old: float, new: float, at: datetime, back: int = 1) -> dict[str, Any]:
    """A row of `day_revisions` likewise, about a day before the last full one."""
    day = LAST_DAY - timedelta(days=back)
    return {"activity_date": day, "metric": metric, "old_value": old, "new_value": new, "revised_at": at}


def moscow(day: int, hour: int = 6) -> datetime:
    """A time in November 2026."""
    return datetime(2026, 11, day, hour, tzinfo=MOSCOW)

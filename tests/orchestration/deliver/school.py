"""A made-up school's figures: as many courses, tasks and weeks as wanted, the same each time."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from orchestration.deliver.columns import Row
from orchestration.deliver.figures import Figures
from orchestration.summary import DayVerdict, MetricVerdict
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days, make_receipts

WEEK_BEFORE = LAST_DAY - timedelta(days=7)
METRICS = ("attempts", "unique_users", "success_rate")
STATES = ("new", "stuck", "struggling", "disengaging", "at_risk", "dormant")
LMS = "https://lms.school.example/courses/{course}/jump_to/block-v1:School+type@lti+block@{block}"


def make_school(courses: int = 3, tasks: int = 12, weeks: int = 9) -> Figures:
    """Figures with something in every part of the report; the last course has fewer than 5 learners."""
    chance = random.Random(7)
    school = Figures(
        MOSCOW,
        make_days(7 * weeks),
        make_receipts(20),
        as_of_day=LAST_DAY,
        verdict=make_verdict("normal"),
        descriptions={"daily_metrics": {"attempts": "Number of attempts, runs and submits."}},
        bands=_bands(),
        courses=tuple(_course(number, courses, tasks // courses) for number in range(courses)),
        revisions=tuple(_revision(number) for number in range(25)),
        hours=tuple(
            {"weekday": day, "hour": hour, "attempts": day * hour, "submits": hour, "unique_users": hour}
            for day in range(1, 8)
            for hour in range(24)
        ),
        cohorts=_cohorts(min(weeks, 26)),
        warnings=tuple(_warning(number) for number in range(min(weeks, 26))),
    )
    rows = tuple(_task(chance, number, school.courses[number % courses]) for number in range(tasks))
    return replace(
        school,
        tasks=rows,
        course_days=tuple(_periods(chance, school, "activity_date", 1, min(90, 7 * weeks))),
        course_weeks=tuple(_periods(chance, school, "week_start", 7, weeks)),
        weekly=tuple(_week(school, number, weeks) for number in range(weeks)),
        movers=tuple(_movers(chance, school.courses, rows)),
        incidents=tuple(
            _incident(kind, rows[number]) for number, kind in enumerate(("broken", "hard", "passes_everything", "mute"))
        ),
    )


def make_verdict(verdict: Any) -> DayVerdict:
    """A verdict on the last day: its attempts are as usual or not."""
    of_attempts = {"unusual": "unusual_low"}.get(verdict, verdict)
    history = verdict != "no_history"
    low, high = (1_100.0, 1_400.0) if history else (None, None)
    return DayVerdict(
        LAST_DAY,
        verdict,
        (
            MetricVerdict("attempts", of_attempts, 1_212.0, 1_250.0 if history else None, low, high),
            MetricVerdict("rejected_share", "normal", 0.005, 0.004, 0.0, 0.05),
        ),
    )


def course_key(number: int) -> str:
    return f"course-v1:School+COURSE-{number}.0+2026_AUTUMN"


def _course(number: int, courses: int, tasks: int) -> Row:
    learners = 4 if number == courses - 1 else 200 - number
    states = {f"learners_{state}": min(learners, place * 2) for place, state in enumerate(STATES)}
    return {
        "course_key": course_key(number),
        "title": f"COURSE-{number}.0 2026_AUTUMN",
        "learners": learners,
        "learners_active_7d": learners // 2,
        "tasks": tasks,
        "first_submit_success": 0.61,
        "learner_hours_lost_28d": 12.3,
        "is_small": learners < 5,
        **states,
    }


def _task(chance: random.Random, number: int, course: Row) -> Row:
    block = hashlib.md5(str(number).encode()).hexdigest()
    known = number % 5 > 0
    return {
        "task_id": hashlib.md5(block.encode()).hexdigest(),
        "course_key": course["course_key"],
        "course_title": course["title"],
        "title": f"{block[:4]}…{block[-4:]}",
        "lms_url": LMS.format(course=course["course_key"], block=block),
        "learners": course["learners"],
        "learners_stuck": number % 3,
        "success_rate": chance.random(),
        "solve_rate": chance.random(),
        "first_submit_success": chance.random(),
        "submits_to_solve_median": number % 7 + 1,
        "discrimination": chance.random() - 0.3 if known and not course["is_small"] else None,
        "learner_hours_lost_28d": 40 / (number + 1),
        "repair_rank": number + 1,
        "is_small": course["is_small"],
    }


def _counts(chance: random.Random, learners: int) -> dict[str, Any]:
    graded = chance.randint(20, 400)
    correct = chance.randint(0, graded)
    return {
        "attempts": graded * 2,
        "submits": graded,
        "graded_submits": graded,
        "correct_submits": correct,
        "success_rate": correct / graded,
        "unique_users": learners // 2,
        "is_small": learners // 2 < 5,
    }


def _periods(chance: random.Random, school: Figures, key: str, step: int, count: int) -> Any:
    last = LAST_DAY if step == 1 else _monday(1)
    for back in reversed(range(count)):
        for course in school.courses:
            counts = _counts(chance, course["learners"])
            yield {"course_key": course["course_key"], key: last - timedelta(days=step * back), **counts}


def _monday(weeks_ago: int) -> date:
    return LAST_DAY - timedelta(days=LAST_DAY.weekday() + 7 * weeks_ago)


def _week(school: Figures, number: int, weeks: int) -> Row:
    start = _monday(number)
    days = [day.values for day in school.days if start <= day.date < start + timedelta(days=7)]
    attempts, correct = (int(sum(day[name] or 0 for day in days)) for name in ("attempts", "correct_submits"))
    return {
        "week_start": start,
        "attempts": attempts,
        "correct_submits": correct,
        "graded_submits": correct * 2,
        "success_rate": 0.5,
        "unique_users": 700 + number,
        "is_complete": 0 < number < weeks - 1,
    }


def _movers(chance: random.Random, courses: Any, tasks: Any) -> Any:
    rows = [("course", course["course_key"], course["title"], course["title"], None, course) for course in courses]
    rows += [("task", task["task_id"], task["title"], task["course_title"], task["lms_url"], task) for task in tasks]
    for number, (dimension, key, title, course_title, lms_url, of) in enumerate(rows):
        counts = _counts(chance, of["learners"])
        before = {f"{name}_before": value for name, value in _counts(chance, of["learners"]).items()}
        yield {
            "dimension": dimension,
            "key": key,
            "title": title,
            "course_title": course_title,
            "lms_url": lms_url,
            "success_effect": (-1) ** number * 0.02 / (number + 1),
            **before,
            **counts,
            "is_small": of["is_small"],
        }


def _incident(kind: str, task: Row) -> Row:
    names = ("task_id", "course_key", "title", "course_title", "lms_url")
    return {
        **{name: task[name] for name in names},
        "kind": kind,
        "graded_submits": 23,
        "success_rate": 1.0 if kind == "passes_everything" else 0.09,
        "baseline_graded_submits": 342,
        "baseline_success_rate": None if kind == "mute" else 0.62,
        "learners": 9,
        "solved_before_failing_now": 7 if kind == "broken" else 0,
        "is_small": False,
    }


def _bands() -> tuple[Row, ...]:
    return tuple(
        {"activity_date": LAST_DAY - timedelta(days=back), "metric": metric, "band_low": low, "band_high": high}
        for back in range(30)
        for metric, low, high in zip(METRICS, (1_000.5, 200.0, 0.4), (1_500.0, 400.0, 0.65), strict=True)
    )


def _revision(number: int) -> Row:
    return {
        "activity_date": LAST_DAY - timedelta(days=number),
        "metric": "attempts" if number % 2 else "success_rate",
        "old_value": 1_200.0 if number % 2 else 0.5,
        "new_value": 1_207.0 if number % 2 else 0.51,
        "revised_at": datetime(2026, 11, 22, 6, 0, tzinfo=MOSCOW),
    }


def _cohorts(weeks: int) -> tuple[Row, ...]:
    return tuple(
        {
            "cohort_week": _monday(weeks - cohort),
            "weeks_since": since,
            "learners": 3 if cohort == 1 else 100,
            "active_learners": 3 if cohort == 1 else 100 // (since + 1),
            "is_small": cohort == 1,
        }
        for cohort in range(weeks)
        for since in range(weeks - cohort)
    )


def _warning(number: int) -> Row:
    counts = {"candidates": 380, "flagged": 83, "vanished": 157, "flagged_vanished": 48}
    shares = {"precision": 48 / 83, "recall": 48 / 157, "base_rate": 157 / 380, "lift": 1.4}
    return {"week_start": _monday(number + 2), "course_key": "(all)", **counts, **shares, "is_small": False}

"""What a daily build costs, in rows that PostgreSQL handles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import SOURCEDID
from tests.dbt_project.plans import rows_handled
from tests.dbt_project.warehouse import Models

FETCHED_AT = datetime(2024, 5, 20, 3, tzinfo=timezone.utc)
YESTERDAY = FETCHED_AT - timedelta(days=1)
LEARNERS, TASKS, DAYS = 60, 60, 90
_BEGAN = FETCHED_AT - timedelta(days=400)


@pytest.fixture
def models(all_models: Models) -> Models:
    return all_models


def runs(learner: int, task: int, day: datetime, count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {
            "lti_user_id": f"learner {learner}",
            "passback_params": repr({SOURCEDID: f"course:host-{task}:{learner}"}),
            "attempt_type": "run",
            "is_correct": None,
            "created_at": f"{day + timedelta(minutes=number, seconds=task):%Y-%m-%d %H:%M:%S}",
        }


def handled_a_day_later(models: Models, monkeypatch: pytest.MonkeyPatch, history: Answer) -> Counter[str]:
    """The rows that each model's build handles when one attempt of each learner comes to a history."""
    models.reset()
    models.load([history])
    models.execute("analyze raw.attempts")
    models.build()
    models.load([Answer(FETCHED_AT, [next(runs(learner, 0, YESTERDAY, 1)) for learner in range(LEARNERS)])])
    with rows_handled(monkeypatch) as handled:
        models.build()
    return handled


def test_a_daily_build_reads_no_old_attempts_again(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    handled: dict[int, Counter[str]] = {}
    # The same learners, tasks and days, more than a month ago; four times the attempts.
    for each in (1, 4):
        history = [
            record
            for learner in range(LEARNERS)
            for task in range(TASKS)
            for record in runs(learner, task, FETCHED_AT - timedelta(days=40 + (learner + task) % DAYS), each)
        ]
        handled[each] = handled_a_day_later(models, monkeypatch, Answer(YESTERDAY, [*history, {}]))
    grew = {name for name, rows in handled[4].items() if rows > handled[1][name] + LEARNERS * 3}
    # By a block range of raw, and by the attempts of the pairs with a new one: both are bounded by what is new.
    assert grew <= {"stg_grader__attempts", "learner_tasks"}, (grew, handled)
    assert len(handled[4]) > 20


def test_a_daily_build_counts_no_old_days_again(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    handled: dict[int, Counter[str]] = {}
    # The same learners on the same tasks, active on each of so many days.
    for days in (60, 240):
        history = [
            record
            for day in range(days)
            for learner in range(LEARNERS)
            for record in runs(learner, learner % 5, FETCHED_AT - timedelta(days=2 + day), 1)
        ]
        handled[days] = handled_a_day_later(models, monkeypatch, Answer(YESTERDAY, history, (_BEGAN, YESTERDAY)))
    # By period, from the first changed one on; by week, but for what is kept as it is published.
    bounded = {
        "weekly_metrics": 0,
        "monthly_metrics": 0,
        "course_daily_metrics": 0,
        "course_weekly_metrics": 0,
        "warning_scorecard": 26 * 2 * 6,
        "cohort_retention": 26 * 12,
        "learner_courses": 0,
        "tasks": 0,
    }
    grew = {name: handled[240][name] - handled[60][name] for name in bounded}
    assert all(handled[60][name] for name in bounded)
    assert {name for name in bounded if grew[name] > bounded[name] + LEARNERS * 3} == set(), (grew, handled)

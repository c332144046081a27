"""What a daily build costs, in rows that PostgreSQL handles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import SOURCEDID
from tests.dbt_project.plans import rows_handled
from tests.dbt_project.warehouse import Models

FETCHED_AT = datetime(2024, 5, 20, 3, tzinfo=timezone.utc)
LEARNERS, TASKS, DAYS = 60, 60, 90


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


def test_a_daily_build_reads_no_old_attempts_again(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    handled = {}
    # The same learners, tasks and days; four times the attempts.
    for each in (1, 4):
        models.reset()
        history = [
            record
            for learner in range(LEARNERS)
            for task in range(TASKS)
            for record in runs(learner, task, FETCHED_AT - timedelta(days=2 + (learner + task) % DAYS), each)
        ]
        models.load([Answer(FETCHED_AT - timedelta(days=1), [*history, {}])])
        models.execute("analyze raw.attempts")
        models.build()
        yesterday = [next(runs(learner, 0, FETCHED_AT - timedelta(days=1), 1)) for learner in range(LEARNERS)]
        models.load([Answer(FETCHED_AT, yesterday)])
        with rows_handled(monkeypatch) as counts:
            models.build()
        handled[each] = sum(counts)
    # Less than one pass over them: only pairs with a new attempt are counted from all of theirs.
    assert handled[4] - handled[1] < LEARNERS * TASKS * 3, handled

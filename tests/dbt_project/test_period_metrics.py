"""`make metrics` over any window equals the definitions, and the mart's row where the window is one
day.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from ingestion.windows import Window, local_midnight
from orchestration.commands.metrics import period_metrics, query_metrics
from tests.dbt_project.compare import assert_metrics
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Oracle
from tests.dbt_project.oracle_rules import EPOCH
from tests.dbt_project.strategies import EFFORT
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 11, 20, tzinfo=timezone.utc)


@pytest.mark.parametrize("seed", range(EFFORT))
def test_any_window(models: Models, seed: int) -> None:
    rng, oracle = random.Random(seed), _built(models, 1000 + seed)
    moments = sorted(EPOCH + timedelta(microseconds=a.created_at) for a in oracle.attempts.values())
    for _ in range(8):
        # Ends on attempts show that the start is included and the end is not.
        start = rng.choice(moments) + timedelta(microseconds=rng.choice([0, 0, 1, -86_400_000_000]))
        end = rng.choice(moments) + timedelta(microseconds=rng.choice([0, 0, 1]))
        start, end = min(start, end), max(start, end) + timedelta(microseconds=1)
        window = Window(start, end)
        assert_metrics(period_metrics(models.dbt, models.warehouse, window), oracle.period_metrics(start, end))
    # The zone has no say in it, not even one that was set after the build.
    for key in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        models.zone = ZoneInfo(key)
        for moment in (moments[0], moments[-1]):
            window = Window(moment - timedelta(minutes=1), moment + timedelta(minutes=1))
            expected = oracle.period_metrics(window.start, window.end)
            assert_metrics(period_metrics(models.dbt, models.warehouse, window), expected)


def test_a_window_without_attempts(models: Models) -> None:
    oracle = _built(models, 2000)
    start, end = NOW - timedelta(days=4000), NOW - timedelta(days=3999)
    found = period_metrics(models.dbt, models.warehouse, Window(start, end))
    assert_metrics(found, oracle.period_metrics(start, end))
    assert found["attempts"] == found["new_users"] == 0
    assert found["success_rate"] is found["attempts_per_user"] is found["avg_attempts_to_first_correct"] is None


def test_one_local_day_equals_the_mart(models: Models) -> None:
    zone = ZoneInfo("America/New_York")
    models.reset(zone)
    _built(models, 3000)
    rows = models.rows("select * from marts.daily_metrics where attempts > 0 order by activity_date")
    assert len(rows) > 5
    for row in rows[::3]:
        day = row["activity_date"]
        window = Window(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))
        found = period_metrics(models.dbt, models.warehouse, window)
        assert set(found) == set(row) & set(found)
        assert found == {
            name: value if value is None or isinstance(value, int) else float(value)
            for name, value in row.items()
            if name in found
        }


def _built(models: Models, seed: int) -> Oracle:
    grader, oracle = Grader(seed, NOW), Oracle()
    answers = [answer for _ in range(5) for answer in grader.load()]
    oracle.load(models.load(answers), answers)
    models.build()
    return oracle


@pytest.mark.parametrize("by", ["course_key", "task_id"])
def test_by_course_and_task_each_is_a_set_of_its_own(models: Models, by: str) -> None:
    oracle = _built(models, 4000)
    moments = sorted(EPOCH + timedelta(microseconds=a.created_at) for a in oracle.attempts.values())
    start, end = moments[len(moments) // 4], moments[3 * len(moments) // 4]
    found = {row.pop(by): row for row in query_metrics(models.dbt, models.warehouse, Window(start, end), by)}
    ids = models.rows("select distinct task_id, course_key, block_id, lis_result_sourcedid from marts.attempts")
    task_id = {(row["course_key"], row["block_id"], row["lis_result_sourcedid"]): row["task_id"] for row in ids}
    sets: dict[str, Oracle] = {}
    for identity, attempt in oracle.attempts.items():
        task = task_id[attempt.course_key, attempt.block_id, attempt.values.lis_result_sourcedid]
        key = task if by == "task_id" else attempt.course_key or "(no course)"
        sets.setdefault(key, Oracle()).attempts[identity] = attempt
    expected = {key: each.period_metrics(start, end) for key, each in sets.items()}
    expected = {key: metrics for key, metrics in expected.items() if metrics["attempts"]}
    assert found.keys() == expected.keys()
    assert len(found) > 1
    for key, metrics in found.items():
        assert_metrics(metrics, expected[key])

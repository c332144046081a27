"""The semantic layer says what the marts say: each metric by day, by week, by course and day."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestration.build import semantic_layer
from orchestration.commands.metrics import assert_built
from orchestration.errors import StageError
from tests.dbt_project.grader import Grader
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 11, 20, 9, 30, tzinfo=timezone.utc)
# Each mart with what its rows are grouped by there, and here.
MARTS = {
    "daily_metrics": {"activity_date": "metric_time__day"},
    "weekly_metrics": {"week_start": "metric_time__week"},
    "course_daily_metrics": {"course_key": "course_key", "activity_date": "metric_time__day"},
}
# No figures of a period; and first attempts in a course, which the metric new_users doesn't mean.
NO_METRICS = {"record_no", "is_complete", "is_small"}
OTHERWISE = {"course_daily_metrics": {"new_users"}}


@pytest.fixture
def models(all_models: Models) -> Models:
    return all_models


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """`mf` takes over the process: its environment and its log."""
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    with patch.dict(os.environ):
        yield
    root.setLevel(level)
    root.handlers[:] = handlers


def test_every_metric_equals_the_marts(models: Models, tmp_path: Path) -> None:
    with models.warehouse.session() as cursor, pytest.raises(StageError, match="not built yet: run `make run`"):
        assert_built(cursor, models.warehouse)
    grader = Grader(5, NOW)
    for _ in range(4):
        models.load(grader.load())
    models.build()
    metrics = {*semantic_layer.metrics(models.dbt)}
    for mart, keys in MARTS.items():
        rows = models.rows(f"select * from marts.{mart} where attempts > 0")
        columns = {*rows[0]} - {*keys} - NO_METRICS
        # whatever the marts tell can be asked for
        assert columns <= metrics, mart
        columns -= OTHERWISE.get(mart, set())
        asked = _query(models, tmp_path / "answer.csv", sorted(columns), [*keys.values()])
        found = {tuple(row[key] for key in keys.values()): row for row in asked if row["attempts"]}
        assert len(rows) == len(found) > 5, mart
        for row in rows:
            answer = found[tuple(str(row[key]) for key in keys)]
            assert {name: float(answer[name] or "nan") for name in columns} == pytest.approx(
                {name: float("nan") if row[name] is None else float(row[name]) for name in columns},
                rel=1e-12,
                nan_ok=True,
            ), (mart, answer)

    models.execute("update marts.attempts set is_excluded = true where user_id = 'zoe'")
    [row] = models.rows("select count(*) as attempts, count(distinct user_id) as unique_users from marts.attempts")
    [counted] = _query(models, tmp_path / "answer.csv", ["attempts", "unique_users"], [])
    assert int(counted["unique_users"]) == row["unique_users"] - 1
    assert 0 < int(counted["attempts"]) < row["attempts"]


def _query(models: Models, answer: Path, metrics: list[str], by: list[str]) -> list[dict[str, str]]:
    arguments = ["--metrics", ",".join(metrics), *(["--group-by", ",".join(by)] if by else [])]
    assert semantic_layer.query(models.dbt, [*arguments, "--csv", str(answer)]) == 0
    with answer.open(encoding="utf-8", newline="") as file:
        return [{name: value.removesuffix(" 00:00:00") for name, value in row.items()} for row in csv.DictReader(file)]

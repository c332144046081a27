"""`make history` and `make status`, from runs noted in a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ingestion.warehouse import Warehouse
from orchestration import history as notes
from orchestration.commands.history import history, read_status, status
from orchestration.settings import Settings
from orchestration.summary import DayVerdict, LoadCounts, RunSummary, Stage
from tests.orchestration.deliver.conftest import LAST_DAY

NOW = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)


@pytest.fixture
def with_warehouse(settings: Settings, warehouse: Warehouse) -> Settings:
    return replace(settings, warehouse=warehouse)


@pytest.fixture
def note(warehouse: Warehouse) -> Callable[..., None]:
    """Notes a run that ended as told."""

    def noted(run_id: str, failure: str | None = None, code: int = 0, verdict: str = "normal") -> None:
        summary = RunSummary(run_id, "run", NOW - timedelta(hours=3), demo=False, log_file="x.log")
        summary.stages.append(Stage("ingest", "failed" if failure else "done", 3.5, "2 records"))
        summary.failure, summary.loads = failure, LoadCounts(1_200, 5, 4, 3)
        summary.verdict = DayVerdict(LAST_DAY, verdict)  # type: ignore[arg-type]
        with notes.noted(warehouse, summary) as ended:
            ended.exit_code = code

    with warehouse.session() as cursor:
        cursor.execute(
            "create schema marts; create table marts.as_of (as_of_day date, covered_until timestamptz);"
            "insert into marts.as_of values ('2026-11-21', '2026-11-21 21:00:00Z')"
        )
    return noted


def test_runs_are_listed_with_their_stages(
    with_warehouse: Settings, note: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    note("1")
    note("2", failure="the API answered 403", code=1)
    assert history(with_warehouse, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "ingest 3.5 s" in shown
    assert "the API answered 403" in shown
    assert "2026-11-22 06:00" in shown
    assert history(with_warehouse, as_json=True) == 0
    runs = {run["run_id"]: run for run in json.loads(capsys.readouterr().out)}
    assert runs["2"]["outcome"] == "failed"
    assert runs["1"]["stages"] == [{"stage": "ingest", "outcome": "done", "seconds": 3.5, "detail": "2 records"}]


def test_no_runs_are_said(with_warehouse: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(with_warehouse, as_json=False) == 0
    assert "No run was noted yet" in capsys.readouterr().out
    assert status(with_warehouse, as_json=False) == 1
    assert "PROBLEM    no run was noted yet" in capsys.readouterr().out


def test_all_is_well(with_warehouse: Settings, note: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    note("1")
    found = read_status(with_warehouse, NOW)
    assert found["problems"] == []
    assert found["next_due"] == datetime(2026, 11, 22, 21, tzinfo=timezone.utc)
    assert found["as_of_day"] == LAST_DAY
    status(with_warehouse, as_json=False)
    assert "last run   run, done, Sun, 22 Nov 2026, 06:00 (Europe/Moscow)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run", "hours", "problem"),
    [
        ({"failure": "the API answered 403", "code": 1}, 0, "the last run ended as 'failed': the API answered 403"),
        ({"code": 5, "verdict": "suspect"}, 0, "is suspect"),
        ({}, 48, "a run was missed"),
    ],
)
def test_what_somebody_should_look_at_is_named(
    with_warehouse: Settings, note: Callable[..., None], run: dict[str, object], hours: int, problem: str
) -> None:
    note("1", **run)
    [told] = read_status(with_warehouse, NOW + timedelta(hours=hours))["problems"]
    assert problem in told


def test_data_that_is_due_is_due_now(with_warehouse: Settings, note: Callable[..., None]) -> None:
    note("1")
    later = NOW + timedelta(days=1)
    assert read_status(with_warehouse, later)["next_due"] == later

"""`make metrics` and `make roles` on a real database."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.build.dbt import Dbt
from orchestration.commands import metrics as command
from orchestration.commands.metrics import metrics, period_metrics
from orchestration.commands.roles import roles
from orchestration.deliver import DeliveryError, periods
from orchestration.deliver.figures import read_figures
from orchestration.errors import StageError
from orchestration.settings import Settings

WINDOW = Window(datetime(2026, 11, 20, tzinfo=timezone.utc), datetime(2026, 11, 21, tzinfo=timezone.utc))


class Compiled:
    """Stands in for dbt: one row of every kind of metric."""

    def __init__(self, sql: str = "select 3 as attempts, 0.5 as success_rate, null::numeric as mean") -> None:
        self.sql = sql
        self.asked = ""

    def compile_inline(self, sql: str) -> str:
        self.asked = sql
        return self.sql


@pytest.fixture
def marts(warehouse: Warehouse) -> Warehouse:
    with warehouse.session() as cursor:
        cursor.execute("create schema marts; create table marts.attempts ()")
    return warehouse


def test_metrics_by_column_name(marts: Warehouse) -> None:
    dbt = Compiled()
    found = period_metrics(cast(Dbt, dbt), marts, WINDOW)
    assert found == {"attempts": 3, "success_rate": 0.5, "mean": None}
    assert {name: type(value) for name, value in found.items()} == {
        "attempts": int,
        "success_rate": float,
        "mean": type(None),
    }
    assert "'2026-11-20 00:00:00+00:00', '2026-11-21 00:00:00+00:00'" in dbt.asked


def test_metrics_before_the_first_build(warehouse: Warehouse) -> None:
    with pytest.raises(StageError, match="not built yet: run `make run`"):
        period_metrics(cast(Dbt, Compiled()), warehouse, WINDOW)


def test_metrics_that_the_database_refuses(marts: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="no_such_table"):
        period_metrics(cast(Dbt, Compiled("select 1 from no_such_table")), marts, WINDOW)


@pytest.mark.parametrize("as_json", [True, False])
def test_metrics_are_printed(
    marts: Warehouse,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,
) -> None:
    def dbt(*_: Any) -> Compiled:
        return Compiled()

    monkeypatch.setattr(command, "Dbt", dbt)
    found = metrics(replace(settings, warehouse=marts), WINDOW, as_json)
    assert found == {"attempts": 3, "success_rate": 0.5, "mean": None}
    shown = capsys.readouterr().out
    if as_json:
        assert json.loads(shown) == {
            "start": "2026-11-20T00:00:00+00:00",
            "end": "2026-11-21T00:00:00+00:00",
            "attempts": 3,
            "success_rate": 0.5,
            "mean": None,
        }
    else:
        assert "2026-11-20 00:00:00 to 2026-11-21 00:00:00 (UTC)" in " ".join(shown.split())
        assert "50.0%" in shown


def test_windows_are_kept_once(marts: Warehouse) -> None:
    periods.keep_period(marts, WINDOW, {"attempts": 3, "success_rate": 0.5, "unknown": 1})
    first = marts.query("select window_start, window_end, attempts, success_rate, runs, computed_at from ops.periods")
    assert [row[:5] for row in first] == [(WINDOW.start, WINDOW.end, 3, 0.5, None)]
    periods.keep_period(marts, WINDOW, {"attempts": 4, "success_rate": 0.25})
    ((attempts, computed_at),) = marts.query("select attempts, computed_at from ops.periods")
    assert attempts == 4
    assert computed_at > first[0][-1]
    later = Window(WINDOW.start, datetime(2026, 11, 22, tzinfo=timezone.utc))
    periods.keep_period(marts, later, {"attempts": 9})
    moscow = ZoneInfo("Europe/Moscow")
    found = read_figures(marts, moscow).periods
    assert [(row["window_end"], row["attempts"]) for row in found] == [(later.end, 9), (WINDOW.end, 4)]
    assert found[0]["window_end"].tzinfo == moscow


def test_a_window_that_no_spreadsheet_can_show_is_refused(marts: Warehouse) -> None:
    for start, end in ((datetime(1, 1, 1), datetime(2026, 1, 1)), (datetime(2026, 1, 1), datetime(9999, 12, 31))):
        window = Window(start.replace(tzinfo=timezone.utc), end.replace(tzinfo=timezone.utc))
        with pytest.raises(DeliveryError, match="years 1901 to 9998"):
            periods.keep_period(marts, window, {})
    assert read_figures(marts, ZoneInfo("Europe/Moscow")).periods == ()


def test_a_window_that_cannot_be_kept(warehouse: Warehouse) -> None:
    away = replace(warehouse, dbname="no_such_database")
    with pytest.raises(DeliveryError, match="could not be kept for the worksheet Periods.*no_such_database") as caught:
        periods.keep_period(away, WINDOW, {})
    assert caught.value.__context__ is None


def test_roles_are_printed_for_this_database(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    assert roles(warehouse, apply=False) == 0
    shown = capsys.readouterr().out
    assert f'grant connect on database "{warehouse.dbname}" to grader_loader' in shown
    assert warehouse.query("select count(*) from pg_namespace where nspname = 'marts'") == [(0,)]
    assert " login;" not in shown
    # Citus's coordinator connects to the workers as them.
    assert roles(replace(warehouse, distributed=True), apply=False) == 0
    assert capsys.readouterr().out.count(" login;") == 4


def test_roles_that_cannot_be_set_up(warehouse: Warehouse) -> None:
    with pytest.raises(StageError, match="not set up: .*does not exist.* may create roles") as caught:
        roles(replace(warehouse, dbname="no_such_database"), apply=True)
    assert caught.value.__context__ is None

"""Figures as they are read from real marts, and the words they are told in."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, datetime, timezone
from pathlib import Path

import psycopg2.extras
import pytest

from ingestion.warehouse import Warehouse
from orchestration.build.samples import masked, sample_rows
from orchestration.deliver import DeliveryError, words
from orchestration.deliver.descriptions import read_descriptions
from orchestration.deliver.figures import DAILY_COLUMNS, Figures, read_figures
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days

LEARNER = "9f3ae0c1b7d84f0f9f3ae0c1b7d84f0f"


@pytest.fixture
def marts(warehouse: Warehouse) -> Warehouse:
    """Hand-made marts: thirty days and two loads."""
    numeric = "numeric"
    types = {"activity_date": "date", "success_rate": numeric, "attempts_per_user": "double precision"}
    types["avg_attempts_to_first_correct"] = numeric
    columns = ", ".join(f"{name} {types.get(name, 'bigint')}" for name in DAILY_COLUMNS)
    connection = warehouse.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(f"create schema marts; create table marts.daily_metrics ({columns})")
        rows = [(day.date, *day.values.values()) for day in reversed(make_days(30))]
        psycopg2.extras.execute_values(cursor, "insert into marts.daily_metrics values %s", rows)
        cursor.execute(
            "create table marts.load_receipts (_dlt_load_id varchar, fetched bigint, accepted bigint,"
            " repeated bigint, rejected bigint, loaded_at timestamptz, rejected_by_reason jsonb);"
            "insert into marts.load_receipts values"
            " ('1.0', 10, 10, 0, 0, '2026-11-21 03:00:00Z', '{}'),"
            """ ('2.0', 12, 5, 4, 3, '2026-11-22 03:00:00Z', '{"a_invalid": 1, "z_invalid": 2}')"""
        )
    connection.close()
    return warehouse


def test_the_marts_are_read_as_they_are(marts: Warehouse) -> None:
    figures = read_figures(marts, MOSCOW)
    assert [day.date for day in figures.days] == [day.date for day in make_days(30)]
    for read, made in zip(figures.days, make_days(30), strict=True):
        assert dict(read.values) == pytest.approx(dict(made.values))
    assert isinstance(figures.days[-1].values["attempts"], int)
    assert [receipt.load_id for receipt in figures.receipts] == ["2.0", "1.0"]
    assert list(figures.receipts[0].rejected_by_reason.items()) == [("z_invalid", 2), ("a_invalid", 1)]
    assert figures.as_of == datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
    assert figures.last_full_day is not None
    assert figures.last_full_day.date == LAST_DAY


def test_no_marts_are_no_figures(warehouse: Warehouse) -> None:
    figures = read_figures(warehouse, MOSCOW)
    assert figures == Figures(MOSCOW)
    assert figures.as_of is None
    assert figures.last_full_day is None
    assert figures.last_30_days == ()


def test_a_warehouse_that_cannot_be_reached_is_named(warehouse: Warehouse) -> None:
    away = Warehouse(warehouse.host, warehouse.port, "no_such_database", warehouse.user, warehouse.password)
    with pytest.raises(DeliveryError, match="no_such_database") as caught:
        read_figures(away, MOSCOW)
    assert caught.value.__context__ is None


def test_days_are_compared_by_date_and_not_by_place(figures: Figures) -> None:
    without = tuple(day for day in figures.days if day.date != date(2026, 11, 20))
    gap = Figures(MOSCOW, without, figures.receipts)
    assert gap.day_before is None
    assert gap.week_before is not None
    assert gap.week_before.date == date(2026, 11, 14)
    assert len(gap.last_30_days) == 29


def test_sample_rows_name_no_learner(marts: Warehouse) -> None:
    query = f"select '{LEARNER}' as user_id, 'run' as attempt_type, 3 as attempts, 'x {LEARNER}' as record"
    with closing(marts.connect()) as session:
        (row,) = sample_rows(session, f"{query} -- the failing rows")
        assert row == "user_id=(user_id 1), attempt_type=run, attempts=3, record=(record 1)"
        assert sample_rows(session, "select no_such_column") == ()
        assert sample_rows(session, query) == (row,)
    assert sample_rows(session, query) == ()


def test_equal_hidden_values_have_equal_names() -> None:
    rows = masked(["user_id", "is_correct"], [(LEARNER, None), ("other", True), (LEARNER, False)])
    assert [row.split(",")[0] for row in rows] == [
        "user_id=(user_id 1)",
        "user_id=(user_id 2)",
        "user_id=(user_id 1)",
    ]
    assert LEARNER not in str(rows)


def test_descriptions_come_from_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    columns = {"attempts": {"description": "All **attempts**,\n`run`s and submits."}}
    model = {"resource_type": "model", "name": "daily_metrics", "description": "A day.", "columns": columns}
    manifest.write_text(json.dumps({"nodes": {"m": model, "t": {"resource_type": "test", "name": "x"}}}))
    assert read_descriptions(manifest) == {
        "daily_metrics": {"": "A day.", "attempts": "All attempts, runs and submits."},
    }


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"nodes": []}', '{"nodes": {"a": 1}}'])
def test_a_manifest_that_is_none_means_no_descriptions(tmp_path: Path, content: str | None) -> None:
    manifest = tmp_path / "manifest.json"
    if content is not None:
        manifest.write_text(content)
    assert read_descriptions(manifest) == {}


@pytest.mark.parametrize(
    ("column", "now", "before", "told"),
    [
        ("attempts", 110, 100, "+10%"),
        ("attempts", 90, 100, "−10%"),
        ("attempts", 1_000, 999, "±0%"),
        ("attempts", 5, 0, "+5"),
        ("attempts", 0, 0, "±0"),
        ("attempts", 0, 7, "−100%"),
        ("attempts", None, 7, ""),
        ("attempts", 7, None, ""),
        ("success_rate", 0.582, 0.545, "+3.7 pp"),
        ("success_rate", 0.5, 0.5, "±0 pp"),
        ("attempts_per_user", 2.84, 3.06, "−0.3"),
    ],
)
def test_changes_are_told_beside_the_figures(
    column: str, now: float | None, before: float | None, told: str
) -> None:
    assert words.change(column, now, before) == told

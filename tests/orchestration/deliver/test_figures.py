"""Figures as they are read from real marts, and how they are worded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import psycopg2.extras
import pytest

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.build.samples import masked, sample_rows
from orchestration.deliver import columns
from orchestration.deliver.figures import Figures, read_figures
from orchestration.deliver.sheet.tables import build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.summary import RunSummary
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days

LEARNER = "9f3ae0c1b7d84f0f9f3ae0c1b7d84f0f"


@pytest.fixture
def marts(warehouse: Warehouse) -> Warehouse:
    """Hand-made marts: thirty days and two loads."""
    types = {"activity_date": "date", "success_rate": "numeric", "attempts_per_user": "double precision"}
    types["avg_attempts_to_first_correct"] = "numeric"
    daily = ", ".join(f"{name} {types.get(name, 'bigint')}" for name in columns.DAILY.names)
    with warehouse.session() as cursor:
        cursor.execute(f"create schema marts; create table marts.daily_metrics ({daily})")
        rows = [(day.date, *day.values.values()) for day in reversed(make_days(30))]
        psycopg2.extras.execute_values(cursor, "insert into marts.daily_metrics values %s", rows)
        cursor.execute(
            "create table marts.load_receipts (_dlt_load_id varchar, fetched bigint, accepted bigint,"
            " repeated bigint, rejected bigint, loaded_at timestamptz, rejected_by_reason jsonb);"
            "insert into marts.load_receipts values"
            " ('1.0', 10, 10, 0, 0, '2026-11-21 03:00:00Z', '{}'),"
            """ ('2.0', 12, 5, 4, 3, '2026-11-22 03:00:00Z', '{"a_invalid": 1, "z_invalid": 2}')"""
        )
        cursor.execute(
            "create table marts.as_of (as_of_day date, covered_until timestamptz, history_from timestamptz);"
            "insert into marts.as_of values ('2026-11-21', '2026-11-21 21:00:00Z', '2026-10-01 21:00:00Z')"
        )
    return warehouse


def test_the_marts_are_read_as_they_are(marts: Warehouse) -> None:
    figures = read_figures(marts, MOSCOW)
    assert [day.date for day in figures.days] == [day.date for day in make_days(30)]
    for read, made in zip(figures.days, make_days(30), strict=True):
        assert dict(read.values) == pytest.approx(dict(made.values))
    assert isinstance(figures.days[-1].values["attempts"], int)
    assert [receipt.load_id for receipt in figures.receipts] == ["2.0", "1.0"]
    assert list(figures.receipts[0].counts.rejected_by_reason.items()) == [("z_invalid", 2), ("a_invalid", 1)]
    assert figures.loaded_at == datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
    assert figures.as_of_day == LAST_DAY
    assert figures.last_full_day == figures.days[-1]


def test_no_marts_are_no_figures(warehouse: Warehouse) -> None:
    figures = read_figures(warehouse, MOSCOW)
    assert figures == Figures(MOSCOW)
    assert figures.loaded_at is None
    assert figures.last_full_day is None
    assert figures.last_days(30) == ()


def test_a_warehouse_that_cannot_be_reached_is_named(warehouse: Warehouse) -> None:
    away = Warehouse(warehouse.host, warehouse.port, "no_such_database", warehouse.user, warehouse.password)
    with pytest.raises(WarehouseError, match="no_such_database") as caught:
        read_figures(away, MOSCOW)
    assert caught.value.__context__ is None


def test_single_learners_are_read_only_when_asked_for_and_allowed(
    marts: Warehouse,
) -> None:
    account = f"{marts.dbname}_reader"
    with marts.session() as cursor:
        cursor.execute(
            "create table marts.courses (course_key text, title text, learners_active_7d int, learners int);"
            "create schema learners;"
            "create table learners.learner_courses (user_id text, course_key text, stuck bool, at_risk bool,"
            " tasks_stuck int, days_silent int, reasons text[]);"
            f"insert into learners.learner_courses values ('{LEARNER}', 'C', true, false, 1, 0, '{{stuck}}'),"
            " ('other', 'C', false, false, 0, 0, '{}');"
            f"create role {account} login password 'x';"
            f"grant usage on schema marts to {account}; grant select on all tables in schema marts to {account}"
        )
    try:
        assert read_figures(marts, MOSCOW).learners == ()
        assert [row["user_id"] for row in read_figures(marts, MOSCOW, True).learners] == [LEARNER]
        host = "127.0.0.1" if marts.host.startswith("/") else marts.host
        reader = replace(marts, host=host, user=account, password="x")
        figures = read_figures(reader, MOSCOW, True)
        assert (len(figures.days), figures.learners) == (30, ())
        assert "make roles" in figures.learners_problem
        assert read_figures(reader, MOSCOW).learners_problem == ""
        with marts.session() as cursor:
            cursor.execute(f"grant usage on schema learners to {account}")
        assert read_figures(reader, MOSCOW, True).learners_problem
        with marts.session() as cursor:
            cursor.execute(f"grant select on all tables in schema learners to {account}")
        figures = read_figures(reader, MOSCOW, True)
        assert (len(figures.learners), figures.learners_problem) == (1, "")
    finally:
        with marts.session() as cursor:
            cursor.execute(f"drop owned by {account}; drop role {account}")


def test_days_are_compared_by_date_and_not_by_place(figures: Figures) -> None:
    without = tuple(day for day in figures.days if day.date != date(2026, 11, 20))
    gap = replace(figures, days=without)
    assert gap.day_before is None
    assert gap.week_before is not None
    assert gap.week_before.date == date(2026, 11, 14)
    assert len(gap.last_days(30)) == 29


def test_the_last_full_day_is_the_as_of_day_of_dbt(marts: Warehouse) -> None:
    with marts.session() as cursor:
        cursor.execute("update marts.as_of set as_of_day = '2026-11-19'")
    figures = read_figures(marts, MOSCOW)
    assert [day and day.date for day in (figures.last_full_day, figures.day_before, figures.week_before)] == [
        date(2026, 11, 19),
        date(2026, 11, 18),
        date(2026, 11, 12),
    ]
    assert figures.last_days(30)[-1].date == date(2026, 11, 19)
    assert figures.days[-1].date == LAST_DAY


@pytest.mark.parametrize("change", ["drop table marts.as_of", "update marts.as_of set as_of_day = null"])
def test_without_an_as_of_day_no_day_is_full(marts: Warehouse, change: str) -> None:
    with marts.session() as cursor:
        cursor.execute(change)
    figures = read_figures(marts, MOSCOW)
    assert len(figures.days) == 30
    assert figures.last_full_day is figures.day_before is figures.week_before is None
    assert figures.last_days(30) == ()


def test_a_covered_day_after_the_last_attempt_is_a_day_without_attempts(figures: Figures) -> None:
    silent = replace(figures, as_of_day=LAST_DAY + timedelta(days=2))
    assert silent.last_full_day is not None
    assert silent.last_full_day.date == date(2026, 11, 23)
    values = silent.last_full_day.values
    assert {name: value for name, value in values.items() if value is not None} == dict.fromkeys(
        (
            "attempts",
            "runs",
            "submits",
            "correct_submits",
            "unique_users",
            "users_without_correct",
            "new_users",
        ),
        0,
    )
    assert silent.day_before is not None
    assert silent.day_before.values["attempts"] == 0
    assert silent.week_before == next(day for day in figures.days if day.date == date(2026, 11, 16))
    assert [day.date for day in silent.last_days(30)][-3:] == [
        LAST_DAY,
        date(2026, 11, 22),
        date(2026, 11, 23),
    ]


def test_a_covered_day_before_the_first_attempt_is_a_day_without_attempts(figures: Figures) -> None:
    early = replace(figures, days=make_days(1), as_of_day=LAST_DAY - timedelta(days=1))
    assert early.last_full_day is not None
    assert (early.last_full_day.date, early.last_full_day.values["attempts"]) == (date(2026, 11, 20), 0)
    assert early.day_before is None


def test_a_new_fractional_metric_keeps_its_fraction(
    marts: Warehouse, figures: Figures, summary: RunSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with marts.session() as cursor:
        cursor.execute("alter table marts.daily_metrics add column hours_per_user numeric default 1.75")
    added = columns.Column("hours_per_user", "decimal", "Hours per user")
    daily = replace(columns.DAILY, columns=(*columns.DAILY.columns, added))
    for module in ("columns", "figures", "sheet.tables"):
        monkeypatch.setattr(f"orchestration.deliver.{module}.DAILY", daily)
    read = read_figures(marts, MOSCOW)
    assert read.days[-1].values["hours_per_user"] == 1.75
    assert build_tables(read, summary, "docs", ENGLISH).daily.rows[-1][-1] == 1.75
    assert ENGLISH.number("hours_per_user", 1.75) == "1.8"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("success_rate", None, "share"),
        ("unique_users_7d", 3.0, "count"),
        ("not_listed", 3, "count"),
        ("not_listed", 1.75, "decimal"),
        ("not_listed", date(2026, 11, 21), "date"),
        ("not_listed", datetime(2026, 11, 21), "time"),
        ("not_listed", "a text", "text"),
    ],
)
def test_the_kind_of_a_column_is_listed_or_that_of_its_value(name: str, value: object, kind: str) -> None:
    assert columns.kind_of(name, value) == kind


def test_descriptions_are_the_comments_in_the_warehouse(marts: Warehouse) -> None:
    with marts.session() as cursor:
        cursor.execute("comment on column marts.daily_metrics.attempts is 'All **attempts**,\n`run`s and submits.'")
        cursor.execute("comment on column marts.load_receipts.fetched is 'Records.'")
        cursor.execute("create table public.daily_metrics (attempts int)")
        cursor.execute("comment on column public.daily_metrics.attempts is 'Not this one'")
    assert read_figures(marts, MOSCOW).descriptions == {
        "daily_metrics": {"attempts": "All attempts, runs and submits."},
        "load_receipts": {"fetched": "Records."},
    }


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

"""The same commands against an API and a PostgreSQL of the user's."""

from __future__ import annotations

import email
import email.policy
import json
import re
import socket
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from ingestion.warehouse import Warehouse
from orchestration.lock import PipelineLock
from tests.end_to_end.clone import Clone, exists, rows
from tests.end_to_end.commands import PreparedProcess
from tests.ingestion.fake_api import KEY, FakeApi, Reply, attempt, attempts, instant

HOUR = timedelta(hours=1)
START, END = "2023-04-01 12:46:47.860798", "2023-04-04"


WINDOW = ("--start", START, "--end", END)


@pytest.fixture
def grading(prepared: PreparedProcess, grader: FakeApi) -> PreparedProcess:
    """Commands set to the test's own API and an empty database."""
    prepared.reset()
    prepared.clone.ask(grader)
    prepared.clone.use(prepared.warehouse)
    return prepared


@pytest.fixture
def warehouse(grading: PreparedProcess) -> Warehouse:
    """The database of the commands."""
    return grading.warehouse


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sheet(clone: Clone) -> tuple[list[Any], str]:
    """The rows of `Daily metrics` and all the text of `About`."""
    book = openpyxl.load_workbook(clone.path / "out" / "metrics.xlsx")
    daily, about = (list(book[name].iter_rows(values_only=True)) for name in ("Daily metrics", "About"))
    return daily, " ".join(str(cell) for row in about for cell in row)


def last_mail(clone: Clone) -> tuple[str, str]:
    """Subject and plain text of the newest mail."""
    message = email.message_from_bytes(clone.mails[-1].read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return str(message["Subject"]), body.get_content()


@pytest.mark.parametrize(
    ("start_included", "end_included"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_no_record_is_lost_or_counted_twice_at_a_border(
    grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse, start_included: bool, end_included: bool
) -> None:
    grader.start_included, grader.end_included = start_included, end_included
    grader.records = attempts("2023-04-01T12:46:48", 100, timedelta(minutes=31))
    borders = [instant(START) + day * timedelta(days=1) for day in (1, 2)]
    tick = timedelta(microseconds=1)
    grader.records += [attempt(1000 + i, b + j * tick) for i, b in enumerate(borders) for j in (-1, 0, 1)]
    if start_included and end_included:
        made = grading.clone.make("run", f"START={START}", f"END={END}")
        assert made.returncode == 0, made.stderr
    else:
        done = grading.run("run", *WINDOW)
        assert done.code == 0, done.output
    expected = {moment for moment, _ in grader.records if moment < instant("2023-04-04")}
    stored = rows(warehouse, "select created_at from marts.attempts")
    assert sorted(moment for (moment,) in stored) == sorted(expected)
    assert min(query["start"] for query in grader.queries) == START
    assert max(query["end"] for query in grader.queries) == "2023-04-04 00:00:00.000000"
    assert {query["client_key"] for query in grader.queries} == {KEY}
    fetches = rows(warehouse, "select window_start, window_end from raw.fetches order by 1")
    assert fetches == sorted((window.start, window.end) for window in grader.windows)


def test_the_default_window_catches_up_and_looks_back(
    grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse
) -> None:
    first = grading.run("ingest", "--start", "2026-01-01", "--end", "2026-01-02", REPORT_TIMEZONE="UTC")
    assert first.code == 0, first.output
    grader.windows.clear()
    second = grading.run("ingest", REPORT_TIMEZONE="UTC", LOOKBACK_HOURS="6")
    assert second.code == 0, second.output
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = sorted(grader.windows, key=lambda window: window.start)
    assert asked[0].start == instant("2026-01-01T18:00:00")
    assert asked[-1].end == midnight
    assert all(later.start <= earlier.end for earlier, later in zip(asked, asked[1:], strict=False))


def test_corrected_and_late_records(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    moment = instant("2023-04-02T10:00:00")
    grader.records = [attempt(1, moment, attempt_type="submit", is_correct=0)]
    assert grading.run("run", *WINDOW).code == 0
    grader.records = [attempt(1, moment, attempt_type="submit", is_correct=1), attempt(2, moment - 25 * HOUR)]
    assert grading.run("run", *WINDOW).code == 0
    assert rows(warehouse, "select count(*), bool_or(is_correct) from marts.attempts") == [(1, True)]
    grader.records.append(attempt(2, moment - 2 * HOUR))
    assert grading.run("run", *WINDOW).code == 0
    receipts = "select fetched, accepted, repeated, rejected from marts.load_receipts order by loaded_at"
    assert rows(warehouse, receipts) == [(1, 1, 0, 0), (1, 0, 1, 0), (2, 1, 1, 0)]
    assert rows(warehouse, "select attempts, correct_submits, success_rate from marts.daily_metrics") == [(2, 1, 1)]


def test_a_changed_time_zone_shows_in_every_day(
    grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse
) -> None:
    grader.records = [attempt(1, instant("2023-04-02T20:30:00")), attempt(2, instant("2023-04-03T21:30:00"))]
    days = "select activity_date::text, attempts::int from marts.daily_metrics order by 1"
    assert grading.run("run", *WINDOW).code == 0
    assert rows(warehouse, days) == [("2023-04-02", 1), ("2023-04-03", 0), ("2023-04-04", 1)]
    assert grading.run("build", REPORT_TIMEZONE="Asia/Kolkata").code == 0
    assert rows(warehouse, days) == [("2023-04-03", 1), ("2023-04-04", 1)]


def test_an_api_that_refuses_the_key(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    grader.rule = lambda _window, _number: Reply(b'{"error": "forbidden"}', 403)
    done = grading.run("run", *WINDOW)
    assert done.code == 1
    assert re.search(r"ERROR .*status_code=403", grading.clone.log)
    assert not exists(warehouse, "marts.attempts")
    subject, text = last_mail(grading.clone)
    assert "fail" in subject.lower()
    assert "403" in text
    assert KEY not in done.output + grading.clone.log + text


def test_slices_before_a_failure_are_kept_and_not_asked_again(
    grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse
) -> None:
    grader.records = attempts("2023-04-01T13:00:00", 59, HOUR)
    grader.rule = lambda window, _number: Reply(b"no", 404) if window.end > instant("2023-04-03T13:00:00") else None
    assert grading.run("run", *WINDOW).code == 1
    kept = rows(warehouse, "select count(*) from raw.fetches")[0][0]
    assert kept == 2
    grader.rule = lambda _window, _number: None
    grader.windows.clear()
    assert grading.run("run", *WINDOW).code == 0
    assert len(grader.windows) == 1
    assert rows(warehouse, "select count(*) from marts.attempts") == [(59,)]


def test_a_failing_gate_leaves_marts_and_sheet_and_says_so(
    grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse
) -> None:
    grader.records = [attempt(1, instant("2023-04-02T10:00:00"))]
    assert grading.run("run", *WINDOW).code == 0
    before, _ = sheet(grading.clone)
    test = grading.clone.path / "dbt_project" / "tests" / "assert_nothing_of_learner_two.sql"
    test.write_text("select record_no from {{ ref('stg_grader__attempts') }} where user_id like '%2'")
    grader.records.append(attempt(2, instant("2023-04-02T11:00:00")))
    try:
        done = grading.run("run", *WINDOW)
    finally:
        test.unlink()
    assert done.code == 1
    assert rows(warehouse, "select count(*) from marts.attempts") == [(1,)]
    after, about = sheet(grading.clone)
    assert after == before
    assert "failed" in about
    subject, text = last_mail(grading.clone)
    assert "fail" in subject.lower()
    assert "assert_nothing_of_learner_two" in text
    assert grading.run("run", *WINDOW).code == 0
    assert rows(warehouse, "select count(*) from marts.attempts") == [(2,)]


def test_a_failing_delivery_does_not_stop_the_other(
    grading: PreparedProcess, grader: FakeApi, unused_port: int
) -> None:
    grader.records = [attempt(1, instant("2023-04-02T10:00:00"))]
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(unused_port), "SMTP_SECURITY": "none"}
    done = grading.run("run", *WINDOW, **mail, EMAIL_FROM="elt@example.org", EMAIL_TO="boss@example.org")
    assert done.code == 3, done.output
    assert "DELIVERY FAILED" in done.output
    assert openpyxl.load_workbook(grading.clone.path / "out" / "metrics.xlsx")["Daily metrics"].max_row == 2
    assert grading.run("deliver").code == 0
    assert "3 Apr 2023" in last_mail(grading.clone)[1]


def test_a_second_run_names_the_first(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run"):
        done = grading.run("run", *WINDOW)
    assert done.code == 4
    assert "grader-elt run" in done.output
    assert grader.windows == []


def test_waiting_for_the_first_run(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with PipelineLock(warehouse, "run"):
            held.set()
            released.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    threading.Timer(2, released.set).start()
    done = grading.run("ingest", *WINDOW, "--wait")
    holder.join()
    assert done.code == 0, done.output
    assert "waiting for another run" in done.output


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"API_CLIENT_KEY": ""}, ["API_CLIENT_KEY"]),
        ({"POSTGRES_USER": "", "SMTP_HOST": "mail"}, ["POSTGRES_USER", "EMAIL_FROM", "EMAIL_TO"]),
        ({"REPORT_TIMEZONE": "Mars/Olympus", "START_DATE": "2023-02-30"}, ["REPORT_TIMEZONE", "START_DATE"]),
        ({"GOOGLE_CREDENTIALS_FILE": "missing.json", "GOOGLE_SPREADSHEET": "x"}, ["GOOGLE_CREDENTIALS_FILE"]),
    ],
)
def test_unusable_settings_start_nothing(
    grading: PreparedProcess, grader: FakeApi, tmp_path: Path, settings: dict[str, str], named: list[str]
) -> None:
    state = tmp_path / "state"
    done = grading.run("run", STATE_DIR=str(state), **settings)
    assert done.code == 2
    assert all(name in done.output for name in named)
    assert KEY not in done.output
    assert grader.windows == []
    assert not state.exists()


def test_an_end_not_after_the_start_is_bad_usage(grading: PreparedProcess, grader: FakeApi) -> None:
    assert grading.run("run", "--start", END, "--end", END).code == 2
    assert grading.clone.make("run", f"START={END}", f"END={START}").returncode == 2
    assert grader.windows == []


def test_settings_from_the_env_file(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    clone = grading.clone
    lines = [f"{name}={value}" for name, value in clone.settings.items()]
    (clone.path / ".env").write_text("\n".join([*lines, "REPORT_TIMEZONE=Asia/Kolkata", ""]))
    clone.settings.clear()
    grader.records = [attempt(1, instant("2023-04-02T20:30:00"))]
    assert grading.run("run", *WINDOW).code == 0
    done = clone.dbt("build", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout
    schema = rows(warehouse, "select nspname from pg_namespace where nspname like 'dev%marts'")[0][0]
    assert rows(warehouse, f"select activity_date::text from {schema}.attempts") == [("2023-04-03",)]


def test_a_full_refresh_changes_nothing(grading: PreparedProcess, grader: FakeApi, warehouse: Warehouse) -> None:
    grader.records = [
        *attempts("2023-04-01T13:00:00", 40, HOUR),
        (instant("2023-04-02T10:30:00"), json.dumps({"lti_user_id": "\0", "created_at": None})),
    ]
    assert grading.run("run", *WINDOW).code == 0
    every = "select t::text from marts.{} as t order by 1"
    tables = ("attempts", "rejected_attempts", "learner_tasks", "daily_metrics", "load_receipts")
    before = [rows(warehouse, every.format(table)) for table in tables]
    assert grading.clone.make("build", "FULL_REFRESH=1").returncode == 0
    assert [rows(warehouse, every.format(table)) for table in tables] == before


def test_what_dbt_and_dlt_leave_behind_holds_no_secret(grading: PreparedProcess, grader: FakeApi) -> None:
    grader.rule = lambda window, _number: Reply(b"no", 500) if window.start > instant("2023-04-03T00:00:00") else None
    grader.records = attempts("2023-04-01T13:00:00", 10, HOUR)
    done = grading.run("ingest", "--start", START, "--end", "2023-04-02 12:00:00")
    assert done.code == 0, done.output
    assert grading.run("build").code == 0
    for folder in (".state", "logs", "out"):
        for path in (grading.clone.path / folder).rglob("*"):
            assert not (path.is_file() and KEY.encode() in path.read_bytes()), path


def test_learners_data_stays_out_of_temporary_folders(grading: PreparedProcess, grader: FakeApi) -> None:
    grader.records = attempts("2023-04-01T13:00:00", 10, HOUR)
    assert grading.run("ingest", *WINDOW).code == 0
    learners = {json.loads(text)["lti_user_id"].encode() for _, text in grader.records}
    left = [path for path in (grading.clone.path / ".state").rglob("*") if path.is_file()]
    assert not [path for path in left if any(learner in path.read_bytes() for learner in learners)]

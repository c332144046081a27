"""From windows asked for to committed raw rows."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.destinations.impl.postgres.postgres import PostgresClient

from ingestion import pipeline, raw, source
from ingestion.errors import ApiError, LoadError
from ingestion.pipeline import IngestReport, Pace, Progress, ingest
from ingestion.warehouse import Warehouse
from ingestion.windows import OVERLAP, Window
from tests.ingestion.fake_api import KEY, FakeApi, Reply, attempt, attempts, instant, window

NOW = instant("2023-06-01T12:00:00")
WEEK = window("2023-04-01", "2023-04-08")
EAGER = Pace(batch_bytes=1)

Run = Callable[..., IngestReport]


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def run(grader: FakeApi, warehouse: Warehouse, work_dir: Path) -> Run:
    """Ingest what is asked for, by default a week."""

    def _run(*asked: Window, now: datetime = NOW, into: Warehouse = warehouse, **options: Any) -> IngestReport:
        return ingest(grader.client(now=lambda: now), into, asked or (WEEK,), work_dir, lambda: now, **options)

    return _run


@pytest.fixture
def query(warehouse: Warehouse) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    connection = warehouse.connect(options="-c timezone=UTC")
    connection.autocommit = True

    def _query(statement: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    yield _query
    connection.close()


Query = Callable[[str], list[tuple[Any, ...]]]
WHOLE = "where _dlt_load_id in (select load_id from raw._dlt_loads where status = 0)"


def numbers(query: Query) -> list[int]:
    """The learners' numbers of the records of completed loads, in order of arrival."""
    found = query(f"select record ->> 'lti_user_id' from raw.attempts {WHOLE} order by record_no")
    return [int(text, 16) for (text,) in found]


def test_a_window_ends_up_in_raw_in_order(grader: FakeApi, run: Run, query: Query, work_dir: Path) -> None:
    grader.records = attempts("2023-04-01", 24 * 7, timedelta(hours=1))
    report = run()
    assert numbers(query) == list(range(24 * 7))
    assert (report.fetched, report.slices, report.slices_loaded) == (24 * 7, 7, 7)
    assert query("select distinct record from raw.attempts where record ->> 'lti_user_id' = lpad('7', 32, '0')") == [
        (json.loads(grader.records[7][1]),)
    ]
    loads = [load_id for (load_id,) in query("select load_id from raw._dlt_loads order by 1")]
    assert loads == report.load_ids
    fetches = query(f"select window_start, window_end, records, fetched_at from raw.fetches {WHOLE} order by 1")
    assert fetches[0] == (WEEK.start, instant("2023-04-02"), 24, NOW)
    assert fetches[1] == (instant("2023-04-02") - OVERLAP, instant("2023-04-03"), 24, NOW)
    assert fetches[-1][1] == WEEK.end
    assert query("select distinct fetched_at from raw.attempts") == [(NOW,)]
    assert raw_coverage(query) == [(WEEK.start, WEEK.end)]
    assert left_in(work_dir) == ["grader"]


def left_in(work_dir: Path) -> list[str]:
    """The names of what a run has left; fails if any of it holds a record."""
    assert not [text for text in _contents(work_dir) if "lti_user_id" in text]
    return sorted(path.name for path in work_dir.iterdir())


def raw_coverage(query: Query) -> list[tuple[Any, ...]]:
    return query("select min(window_start), max(window_end) from raw.fetches")


def test_records_keep_numbers_and_characters(grader: FakeApi, run: Run, query: Query) -> None:
    records = [
        '{"n": 123456789012345678901234567890, "x": 1e400, "y": 0.10, "z": 1e-9}',
        '{"t": "Ёж \\u0401 😀 \\ud83d\\ude00 \\"q\\" back\\\\slash \\\\. , \\n\\t"}',
        '{\n  "a": 1,\r\n  "a": 2\n}',
        "null",
        '"text"',
        "[]",
    ]
    grader.records = [(WEEK.start, text) for text in records]
    assert run().fetched == len(records)
    stored = [text for (text,) in query("select record::text from raw.attempts order by record_no")]
    assert stored[0] == f'{{"n": 123456789012345678901234567890, "x": 1{"0" * 400}, "y": 0.10, "z": 0.000000001}}'
    assert [json.loads(text) for text in stored[1:]] == [json.loads(text) for text in records[1:]]


def test_what_jsonb_cannot_hold_is_replaced_or_kept_as_text(grader: FakeApi, run: Run, query: Query) -> None:
    deep = "[" * 50_000 + "]" * 50_000
    huge = '{"n": 1e200000}'
    tiny = '{"n": 1e-20000}'
    bad = [deep, huge, tiny]
    grader.records = [
        (WEEK.start, '{"good": 1}'),
        (WEEK.start, '{"s": "nul \\u0000 and \\ud800"}'),
        *((WEEK.start, text) for text in bad),
        attempt(5, WEEK.start),
        (WEEK.start + timedelta(days=2), '{"n": NaN, "c": "\x02\x01\x00"}'),
        attempt(7, WEEK.start + timedelta(days=3)),
    ]
    report = run()
    assert (report.fetched, report.repaired, report.kept_as_text) == (8, 2, 4)
    stored = [record for (record,) in query(f"select record from raw.attempts {WHOLE} order by record_no")]
    assert stored[0] == {"good": 1}
    assert stored[1] == {"s": "nul \ufffd and \ufffd"}
    assert stored[2:5] == bad
    assert stored[6] == '{"n": NaN, "c": "\x02\x01\ufffd"}'
    assert [record["lti_user_id"] for record in (stored[5], stored[7])] == [f"{5:032x}", f"{7:032x}"]
    sums = f"select sum(records), sum(repaired), sum(kept_as_text) from raw.fetches {WHOLE}"
    assert query(sums) == [(8, 2, 4)]


def test_no_load_is_refused_or_done_twice_for_a_record_that_jsonb_cannot_hold(
    grader: FakeApi, run: Run, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    bad = '{"n": 1e999999}'
    deep = "[" * 50_000 + "]" * 50_000
    texts = [[f"{number}"] * 5 for number in range(7)]
    texts[0][1] = bad
    texts[3][2] = f'{{"n": 0.{"1" * 20_000}}}'
    texts[4][4] = deep
    texts[6][0] = "[1, -2.5E-20000]"
    texts[6][1] = '{"n": 1e1000}'
    grader.records = [(WEEK.start + timedelta(days=day), text) for day, of_day in enumerate(texts) for text in of_day]
    with caplog.at_level(logging.INFO):
        report = run(pace=replace(EAGER, batch_bytes_most=1))
    assert caplog.text.count("Loaded 5 records") == 7
    assert (report.fetched, report.kept_as_text, len(report.load_ids)) == (35, 4, 7)
    stored = [record for (record,) in query(f"select record from raw.attempts {WHOLE} order by record_no")]
    expected: list[Any] = [int(text) if text.isdigit() else text for of_day in texts for text in of_day]
    expected[31] = {"n": 10**1000}
    assert stored == expected
    kept = query(f"select kept_as_text from raw.fetches {WHOLE} order by window_start")
    assert [count for (count,) in kept] == [1, 0, 0, 1, 1, 0, 1]


def test_a_megabyte_string_is_a_record_like_any_other(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = [(WEEK.start, json.dumps({"s": "x\n\"'" * 1_000_000}))] * 3 + [attempt(1, WEEK.start)]
    run()
    assert query("select count(*), max(length(record ->> 's')) from raw.attempts") == [(4, 4_000_000)]


def test_a_quiet_week_is_fetched_all_the_same(run: Run, query: Query) -> None:
    report = run()
    assert (report.fetched, report.slices_loaded, len(report.load_ids)) == (0, 7, 1)
    assert query(f"select count(*), sum(records) from raw.fetches {WHOLE}") == [(7, 0)]
    assert query("select count(*) from raw.attempts") == [(0,)]


def test_nothing_asked_for_is_nothing_done(warehouse: Warehouse, grader: FakeApi, work_dir: Path) -> None:
    report = ingest(grader.client(), warehouse, [], work_dir, lambda: NOW)
    assert (report.slices, report.load_ids, grader.windows) == (0, [], [])


@pytest.mark.parametrize("start_included", [True, False])
@pytest.mark.parametrize("end_included", [True, False])
def test_no_record_at_a_slices_border_is_lost(
    grader: FakeApi, run: Run, query: Query, start_included: bool, end_included: bool
) -> None:
    grader.start_included, grader.end_included = start_included, end_included
    borders = [WEEK.start + timedelta(days=day) for day in range(8)]
    moments = sorted(border + number * OVERLAP for border in borders for number in (-2, -1, 0, 1, 2))
    grader.records = [attempt(number, moment) for number, moment in enumerate(moments)]
    run()
    expected = {
        number
        for number, moment in enumerate(moments)
        if (WEEK.start < moment < WEEK.end)
        or (moment == WEEK.start and start_included)
        or (moment == WEEK.end and end_included)
    }
    assert set(numbers(query)) == expected


def test_several_windows_are_loaded_in_order(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 10, timedelta(days=1))
    run(window("2023-04-08", "2023-04-10"), window("2023-04-01", "2023-04-03"))
    assert numbers(query) == [7, 8, 0, 1]


def test_results_stay_in_order_however_late_they_come(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 24 * 7, timedelta(hours=1))
    grader.rule = lambda asked, number: Reply(grader.body(asked), wait=0.15) if number % 3 == 1 else None
    run(pace=EAGER)
    assert numbers(query) == list(range(24 * 7))


def test_slices_are_committed_in_several_loads(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 24 * 7, timedelta(hours=1))
    report = run(pace=replace(EAGER, batch_bytes_most=1))
    assert len(report.load_ids) == 7
    assert numbers(query) == list(range(24 * 7))


def test_a_failing_slice_is_an_error_and_those_before_it_are_kept(
    grader: FakeApi, run: Run, query: Query, caplog: pytest.LogCaptureFixture, work_dir: Path
) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    dead = instant("2023-04-04") - OVERLAP
    grader.rule = lambda asked, _: Reply(b"", 403) if asked.start == dead else None
    with pytest.raises(ApiError) as caught:
        run()
    assert (caught.value.status_code, caught.value.window.start) == (403, dead)
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "status_code=403" in errors[0]
    assert numbers(query) == [0, 1, 2]
    assert left_in(work_dir) == ["grader"]
    asked_before = len(grader.windows)
    grader.rule = lambda _window, _number: None
    report = run()
    assert report.slices == 4
    assert min(grader.windows[asked_before:]).start == instant("2023-04-04") - OVERLAP
    assert numbers(query) == list(range(7))


def test_an_asked_window_is_fetched_again_once_it_was_whole(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    run()
    grader.records[3] = attempt(3, grader.records[3][0], is_correct=1)
    assert run().slices == 7
    assert numbers(query) == [*range(7), *range(7)]


def test_a_slice_that_had_to_be_halved_counts_as_its_halves(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 24, timedelta(hours=1))
    grader.rule = lambda asked, _: Reply(b"", 413) if asked.length > timedelta(hours=12, seconds=1) else None
    run(window("2023-04-01", "2023-04-02"))
    assert numbers(query) == list(range(24))
    assert query("select window_end, records from raw.fetches order by 1") == [
        (instant("2023-04-01T12:00:00"), 12),
        (instant("2023-04-02"), 12),
    ]


def test_a_window_in_the_far_future_is_one_request(grader: FakeApi, warehouse: Warehouse, run: Run) -> None:
    run(window("2023-05-31", "9999-12-31T23:59:59.999999"))
    assert len(grader.windows) == 4
    assert raw.coverage(warehouse) == [window("2023-05-31", "2023-06-01T12:00:00")]


def test_memory_follows_the_slice_not_the_window(grader: FakeApi, run: Run) -> None:
    body = f"[{', '.join(text for _, text in attempts('2023-04-01', 4000, timedelta(seconds=1)))}]".encode()
    grader.rule = lambda _window, _number: Reply(body)
    run(window("2023-03-01", "2023-03-02"))
    peaks = []
    for days in (6, 36):
        tracemalloc.start()
        try:
            report = run(Window(WEEK.start, WEEK.start + timedelta(days=days)))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert report.fetched == days * 4000
    # Thirty more days would be thirty more bodies; what happens to overlap between threads is a few.
    assert peaks[1] < peaks[0] + 8 * len(body)


def test_a_loader_that_owns_nothing_can_load(grader: FakeApi, run: Run, query: Query, warehouse: Warehouse) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    run()
    role = f"loader_{os.urandom(4).hex()}"
    query(f"create role {role} login password '{role}'")
    try:
        query(f"grant usage on schema raw to {role}")
        query(f"grant select, insert, delete on raw.attempts, raw.fetches to {role}")
        query(f"grant select, update on raw.watermark to {role}")
        query(f"grant select, insert on raw._dlt_loads, raw._dlt_version to {role}")
        query(f"grant delete on raw._dlt_loads to {role}")  # for the lock that waits for other writers
        query(f"grant select on sequence raw.attempts_record_no_seq to {role}")
        run(into=replace(warehouse, user=role, password=role))
        query("delete from raw._dlt_loads where load_id = (select max(load_id) from raw._dlt_loads)")
        run(into=replace(warehouse, user=role, password=role))
    finally:
        query(f"drop owned by {role}")
        query(f"drop role {role}")
    assert numbers(query) == [*range(7), *range(7)]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("where", ["before the marker", "before COPY", "while fetching"])
def test_a_killed_run_is_completed_by_the_next(
    grader: FakeApi, run: Run, query: Query, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    grader.records = attempts("2023-04-01", 24 * 7, timedelta(hours=1))
    names = {"before the marker": "complete_load", "before COPY": "create_load_job"}
    with monkeypatch.context() as patch:
        if where in names:
            original = getattr(PostgresClient, names[where])
            calls: list[int] = []

            def dies(*args: Any, **options: Any) -> Any:
                calls.append(1)
                if len(calls) > 3:
                    raise Killed
                return original(*args, **options)

            patch.setattr(PostgresClient, names[where], dies)
        else:
            grader.rule = lambda _window, number: Reply(b"", 403) if number > 4 else None
        with pytest.raises((Killed, ApiError)):
            run(pace=replace(EAGER, batch_bytes_most=1))
    grader.rule = lambda _window, _number: None
    before = numbers(query)
    assert before == list(range(len(before)))
    report = run()
    assert 0 < report.slices < 8
    assert numbers(query) == list(range(24 * 7))
    assert query(
        "select count(*) from raw.attempts where not (_dlt_load_id in (select load_id from raw._dlt_loads))"
    ) == [(0,)]


def test_a_load_whose_marker_is_missing_counts_for_nothing(grader: FakeApi, run: Run, query: Query) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    run()
    query("delete from raw._dlt_loads")
    report = run()
    assert (report.removed, report.slices) == (7, 7)
    assert query("select count(*) from raw.attempts") == [(7,)]
    assert numbers(query) == list(range(7))


def test_a_lost_connection_is_a_clean_error_and_no_job_is_tried_twice(
    grader: FakeApi, run: Run, query: Query, warehouse: Warehouse, server: Warehouse
) -> None:
    grader.records = attempts("2023-04-01", 24 * 7, timedelta(hours=1))
    run(window("2023-03-01", "2023-03-02"))
    query(
        """
        create function raw.cut_off() returns trigger language plpgsql as
        $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$
        """
    )
    query("create trigger cut_off before insert on raw.attempts for each statement execute function raw.cut_off()")
    with pytest.raises(LoadError, match="What to do"):
        run()
    query("drop trigger cut_off on raw.attempts")
    run()
    assert numbers(query) == list(range(24 * 7))


def test_the_password_is_nowhere_when_a_load_fails(
    grader: FakeApi,
    run: Run,
    query: Query,
    server: Warehouse,
    warehouse: Warehouse,
    work_dir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "p%40ss/w:rd+1"
    role = f"loader_{os.urandom(4).hex()}"
    query(f"create role {role} login superuser password '{secret}'")
    left: list[str] = []
    remove = shutil.rmtree

    def look_and_remove(path: Path, **options: Any) -> None:
        left.extend(_contents(work_dir))
        remove(path, **options)

    try:
        grader.records = attempts("2023-04-01", 7, timedelta(days=1))
        loader = replace(warehouse, user=role, password=secret)
        run(into=loader)
        left += _contents(work_dir)
        monkeypatch.setattr(source.shutil, "rmtree", look_and_remove)  # type: ignore[attr-defined]
        query("alter table raw.fetches add constraint nothing_new check (records < 0) not valid")
        with caplog.at_level(logging.DEBUG), pytest.raises(LoadError) as caught:
            run(into=loader)
    finally:
        query(f"reassign owned by {role} to current_user")
        query(f"drop owned by {role}")
        query(f"drop role {role}")
    seen = [caplog.text, "".join(traceback.format_exception(caught.value)), repr(loader), *left]
    assert "nothing_new" in str(caught.value)
    forms = {secret, loader.dlt_url().split(":")[2].split("@")[0], KEY}
    assert not [text[:80] for text in seen for form in forms if form in text]
    assert len(left) > 10


def _contents(folder: Path) -> list[str]:
    return [path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()]


def test_files_of_a_run_are_for_its_user_alone_and_nothing_lands_at_home(
    grader: FakeApi, run: Run, work_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    modes: list[int] = []
    run(progress=lambda _: modes.append(work_dir.stat().st_mode & 0o077))
    assert set(modes) == {0}
    assert work_dir.stat().st_mode & 0o077 == 0
    assert list(home.iterdir()) == []


def test_a_full_disk_is_a_clean_error(
    grader: FakeApi, run: Run, query: Query, monkeypatch: pytest.MonkeyPatch, work_dir: Path
) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))

    def fails(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "put_aside", fails)
        with pytest.raises(LoadError, match="No space left on device"):
            run()
    with monkeypatch.context() as patch:
        patch.setattr(source, "write_csv", fails)
        with pytest.raises(LoadError, match="No space left on device"):
            run()
    assert left_in(work_dir) == []
    run()
    assert numbers(query) == list(range(7))


def test_settings_of_the_users_own_dlt_do_not_reach_the_load(
    grader: FakeApi, run: Run, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://nobody:x@127.0.0.1:1/nowhere")
    monkeypatch.setenv("DATASET_NAME", "elsewhere")
    monkeypatch.setenv("LOAD__WORKERS", "nonsense")
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    run()
    assert numbers(query) == list(range(7))


def test_dlts_settings_in_the_current_folder_do_not_reach_the_load(
    grader: FakeApi, query: Query, warehouse: Warehouse, work_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("this is not TOML")
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    script = f"""
from datetime import datetime, timezone
from pathlib import Path
from ingestion.api import Api, GraderApi
from ingestion.pipeline import ingest
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
start, end = (datetime.fromisoformat(text) for text in ("{WEEK.start}", "{WEEK.end}"))
ingest(
    GraderApi(Api("{grader.url}", "c", "k")), {warehouse!r}, [Window(start, end)],
    Path("{work_dir}"), lambda: datetime.now(timezone.utc),
)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert numbers(query) == list(range(7))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_the_encoding_of_the_users_own_client_does_not_reach_the_load(
    grader: FakeApi, run: Run, query: Query, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    grader.records = [(WEEK.start, '{"lti_user_id": "Łукас 🎓"}')]
    with monkeypatch.context() as patch:
        patch.setenv("PGCLIENTENCODING", encoding)
        run()
    assert query("select record ->> 'lti_user_id' from raw.attempts") == [("Łукас 🎓",)]


def test_what_a_killed_run_left_in_the_working_folder_is_ignored(
    grader: FakeApi, run: Run, query: Query, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))

    def dies(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(dlt.Pipeline, "load", dies)
        with pytest.raises(Killed):
            run()
    assert list((work_dir / "grader/load/normalized").iterdir()), "a package that waits for its load"
    (work_dir / "attempts.csv").write_text("record")
    grader.records = attempts("2023-04-01", 3, timedelta(days=1))
    run()
    assert numbers(query) == [0, 1, 2]
    assert left_in(work_dir) == ["grader"]


@pytest.mark.parametrize("operation", ["info", "schema", "trace", "load-package", "failed-jobs"])
def test_dlts_own_command_finds_the_pipeline(grader: FakeApi, run: Run, work_dir: Path, operation: str) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    (load_id,) = run().load_ids
    command = [sys.executable, "-m", "dlt", "pipeline", "--pipelines-dir", str(work_dir), "grader", operation]
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false"}
    done = subprocess.run(command, cwd=work_dir, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"info": "raw", "schema": "kept_as_text"}.get(operation, load_id) in done.stdout


def test_progress_counts_up_to_everything(grader: FakeApi, run: Run) -> None:
    grader.records = attempts("2023-04-01", 7, timedelta(days=1))
    told: list[Progress] = []
    run(progress=told.append)
    assert (told[0].slices, told[0].slices_fetched) == (7, 1)
    assert told[-1] == Progress(slices=7, slices_fetched=7, records_fetched=7, records_loaded=7)


def test_what_is_fetched_ahead_is_bounded(grader: FakeApi, run: Run) -> None:
    """However long the window: while one slice hangs, only a few after it are asked for."""
    blocked = threading.Event()
    seen: list[int] = []

    def rule(asked: Window, _number: int) -> Reply | None:
        if asked.start == WEEK.start and not blocked.is_set():
            blocked.wait(0.2)
            seen.append(len(grader.windows))
            blocked.set()
        return None

    grader.rule = rule
    run(window("2023-04-01", "2023-05-20"), pace=Pace(threads=3, ahead=4))
    assert seen[0] <= 4
    assert len(grader.windows) == 49

"""Commands on a terminal: what a person sees when the API is in trouble, and after Ctrl-C."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.end_to_end.clone import Clone, exists, rows
from tests.end_to_end.commands import PreparedProcess
from tests.ingestion.fake_api import FakeApi, Reply, attempts
from tests.terminal import Terminal, start

WINDOW = ("--start", "2023-04-01", "--end", "2023-04-05")
RECORDS = "select count(*)::int from raw.attempts"
COLUMNS = 400


@pytest.fixture
def clone(prepared: PreparedProcess, grader: FakeApi) -> Iterator[Clone]:
    """A clone with an empty database and an API that has 50 records."""
    prepared.reset()
    prepared.clone.use(prepared.warehouse)
    prepared.clone.ask(grader)
    grader.records = attempts("2023-04-01T13:00:00", 50, timedelta(hours=1))
    yield prepared.clone
    prepared.clone.forget()


def command(clone: Clone, *arguments: str) -> Terminal:
    python = str(clone.path / ".venv/bin/python")
    return start([python, "-m", "orchestration", *arguments], COLUMNS, clone.environment(), clone.path)


def interrupted(terminal: Terminal, when: Callable[[str], bool], *, twice: bool = False) -> list[str]:
    """What is left on the screen below the first line, after Ctrl-C; it ends soon and with exit code 1."""
    terminal.until(when)
    pressed = time.monotonic()
    terminal.interrupt()
    if twice:
        time.sleep(0.1)
        terminal.interrupt()
    assert terminal.wait(20) == 1, terminal.screen
    assert time.monotonic() - pressed < 10
    assert "raceback" not in terminal.written
    assert "\x1b[?25l" not in terminal.written.rpartition("\x1b[?25h")[2], "the cursor is back"
    assert " begins; its log is logs/" in terminal.screen[0]
    return terminal.screen[1:-1]


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupted_ingest_goes_on_later(
    prepared: PreparedProcess, clone: Clone, grader: FakeApi, twice: bool
) -> None:
    # Three days are answered, and the thread that waits for the last is in no hurry.
    grader.rule = lambda window, _: Reply(wait=30) if window.end.day == 5 else None
    screen = interrupted(command(clone, "ingest", *WINDOW), lambda written: "3/4" in written, twice=twice)
    assert screen == [
        "WARNING: ingest interrupted. Nothing new was loaded yet; what was there before is kept. "
        "The same command goes on from there."
    ]
    assert "raceback" not in clone.log
    assert " ERROR " not in clone.log
    if not twice:
        grader.rule = lambda _window, _number: None
        assert prepared.run("ingest", *WINDOW).code == 0
        assert rows(prepared.warehouse, RECORDS) == [(50,)]


def test_an_interrupted_build_publishes_nothing(prepared: PreparedProcess, clone: Clone) -> None:
    assert prepared.run("ingest", *WINDOW).code == 0
    # The build waits for somebody else's lock, as it may wait for a long statement.
    with prepared.warehouse.session("tests") as cursor:
        cursor.execute("lock table raw.attempts in access exclusive mode")
        screen = interrupted(command(clone, "build"), lambda written: "raw_attempts_have" in written)
    assert screen == [
        "WARNING: build interrupted. All loaded records are kept, and the marts are whole: they show the last "
        "good build. `make build` builds again; so does the next `make run`."
    ]
    assert "raceback" not in clone.log
    assert " ERROR " not in clone.log
    assert not exists(prepared.warehouse, "marts.attempts")
    working = "select count(*)::int from pg_stat_activity where application_name = 'grader-elt dbt'"
    assert rows(prepared.warehouse, working) == [(0,)]


def test_trouble_with_the_api_stands_on_lines_of_its_own(clone: Clone, grader: FakeApi) -> None:
    grader.rule = lambda _, number: Reply(status=503, headers={"Retry-After": "1"}) if number < 3 else None
    terminal = command(clone, "ingest", *WINDOW)
    assert terminal.wait() == 0, terminal.screen
    warnings = [line for line in terminal.screen if "WARNING" in line]
    assert len(warnings) == 2
    for line in warnings:
        assert re.fullmatch(
            r"WARNING: The API failed on 2023-.* UTC \(.*, status_code=503\): trying again in 1\.0 s\.", line
        )
    begun, *rest = [line for line in terminal.screen if line not in warnings]
    assert " begins; " in begun
    assert rest[1].startswith("All done: ingest ")
    assert re.fullmatch(r"  stages  ingest \d+\.\d s: 50 records in 4 slices and 1 load", rest[2])
    assert len(rest) == 5


def test_a_failure_is_said_once(clone: Clone, grader: FakeApi) -> None:
    grader.rule = lambda _window, _number: Reply(status=403)
    terminal = command(clone, "ingest", *WINDOW)
    assert terminal.wait() == 1
    _, *said = terminal.screen
    assert len(said) == 2
    assert re.match(r"ERROR: The grader's API at .*status_code=403 ", said[0])
    assert said[1] == ""

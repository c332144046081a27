"""A PostgreSQL of the user's own, restarted or killed during a run: the run says so, the next one repairs it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest

from tests.end_to_end.commands import Command
from tests.end_to_end.other_server import Server, server
from tests.faults.conftest import Scene
from tests.faults.machine import LONG, until
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, later, marts, query, records
from tests.faults.test_overlap import slow

MESSAGES = (
    "terminat|closed the connection|connection already closed|refused|starting up|shutting down|recovery|no longer has"
)
WAITING = "select count(*) > 0 from pg_stat_activity where datname = 'warehouse' and wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def other() -> Iterator[Server]:
    """The server, for all faults."""
    with server() as made:
        yield made


def kill_a_process(server: Server) -> None:
    """kill -9 of one of the run's sessions; PostgreSQL then ends all others as well and recovers."""
    with closing(server.superuser.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select pid from pg_stat_activity where application_name like 'grader-elt run %'")
        for (pid,) in cursor.fetchall():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(psycopg2.Error):
            cursor.execute("select pg_sleep(60)")
    server.wait_until_ready()


FAULTS: dict[str, Callable[[Server], None]] = {
    "restarted, immediate": lambda server: server.restart("immediate"),
    "killed -9": lambda server: server.restart("kill -9"),
    "restarted, fast": lambda server: server.restart("fast"),
    "one of its processes killed -9": kill_a_process,
}
EVERY = [(loading, building) for loading in FAULTS for building in FAULTS]
FEW = [("killed -9", "restarted, immediate")]


@pytest.mark.parametrize(("loading", "building"), EVERY if LONG else FEW)
def test_a_server_that_goes_away(scene: Scene, tally: Tally, other: Server, loading: str, building: str) -> None:
    scene.put_back("empty")
    other.administer("drop database if exists warehouse with (force)", "create database warehouse owner elt")
    elt, prepared = other.elt, scene.prepared
    prepared.clone.use(elt)
    slow(scene, 0.5)
    run = prepared.start("run", *WINDOW, small_loads=True)
    assert until(lambda: run.ended.is_set() or " Loaded " in run.output)
    FAULTS[loading](other)
    assert_reported(run)
    scene.grader.rule = lambda _window, _number: None
    assert prepared.run("run", *WINDOW, small_loads=True).code == 0
    lost, doubled = difference(scene.expected["empty"], marts(elt))
    tally.count(f"PostgreSQL {loading}, while loading", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(elt)

    scene.grader.records = later(records(1), 2)
    with held_up(other, "marts.learner_tasks"):
        run = prepared.start("run", *WINDOW, small_loads=True)
        assert until(lambda: run.ended.is_set() or ("build: started" in run.output and held(other)))
        FAULTS[building](other)
        assert_reported(run)
    assert prepared.run("build").code == 0
    lost, doubled = difference(scene.expected["loaded"], marts(elt))
    tally.count(f"PostgreSQL {building}, while building", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(elt)


def assert_reported(run: Command) -> None:
    assert run.wait() == 1, run.output
    assert re.search(MESSAGES, run.output), run.output
    assert "Traceback" not in run.output


@contextmanager
def held_up(server: Server, table: str) -> Iterator[None]:
    """Let a build come as far as this table, and no further until its server goes away."""
    with closing(server.elt.connect("in the way")) as connection, connection.cursor() as cursor:
        cursor.execute(f"lock table {table} in access exclusive mode")
        yield


def held(server: Server) -> bool:
    """Whether somebody waits for a table."""
    return query(server.superuser, WAITING) == [(True,)]

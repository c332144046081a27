"""kill -9 of a whole run at any instant, then one more run: as if nothing had happened."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import psycopg2
import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.commands import Command
from tests.faults.conftest import Scene
from tests.faults.machine import LONG, until
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts, query

RUNNING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' and query ~* %s
"""


@dataclass(frozen=True)
class Instant:
    """When to kill: `delay` seconds at most after the terminal shows `line`, or while the database runs `statement`."""

    stage: str
    line: str = ""
    delay: float = 0
    statement: str = ""


# One of each kind, which the short form tries, then further ones.
INSTANTS = (
    Instant("load", line="Fetched", delay=1.0),
    Instant("dbt", line="OK hook", delay=2.5),
    Instant("load", statement=r'^copy "'),
    Instant("dbt", statement="merge into|insert into .*(attempts|learner|daily)"),
    Instant("ingest", line="ingest: started", delay=0.6),
    Instant("load", statement="_dlt_loads|_dlt_version"),
    Instant("delivery", line="deliver: started", delay=0.3),
    Instant("between", line="ingest: ended", delay=0.02),
    Instant("dbt", statement="create +(temporary )?table|create .*view|alter table"),
    Instant("dbt", line="build: started", delay=4),
    Instant("load", line="Loaded", delay=0.6),
    Instant("dbt", line="marts.attempts", delay=1.0),
)
COUNT = 240 if LONG else 9
CHUNKS = 16 if LONG else 3


def kill_at(instant: Instant, command: Command, warehouse: Warehouse, rng: random.Random) -> bool:
    """Kill the command at that instant; whether it was still running."""
    if instant.line:
        happened: Callable[[], bool] = lambda: instant.line in command.output  # noqa: E731
        until(lambda: command.ended.is_set() or happened())
        time.sleep(rng.random() * instant.delay)
    else:
        with closing(warehouse.connect("watching")) as connection, connection.cursor() as cursor:
            connection.autocommit = True

            def running() -> bool:
                cursor.execute(RUNNING, (instant.statement,))
                return cursor.fetchall() != [(0,)]

            until(lambda: command.ended.is_set() or running(), interval=0.0005)
    alive = not command.ended.is_set()
    command.kill()
    return alive


def stage_of(output: str) -> str:
    """The stage in which a killed run was, by what it had written to the terminal."""
    if "deliver: started" in output:
        return "delivery"
    if "build: ended" in output or ("ingest: ended" in output and "build: started" not in output):
        return "between"
    if "build: started" in output:
        return "dbt"
    return "load" if "Fetched" in output else "ingest"


def unfinished(warehouse: Warehouse) -> int:
    """How many records the killed run has left that belong to no completed load."""
    try:
        return int(
            query(
                warehouse,
                "select count(*) from raw.attempts where _dlt_load_id not in (select load_id from raw._dlt_loads)",
            )[0][0]
        )
    except psycopg2.errors.UndefinedTable:
        return 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_run_after_a_killed_one_makes_it_good(scene: Scene, tally: Tally, chunk: int) -> None:
    for number in range(chunk, COUNT, CHUNKS):
        rng = random.Random(number)
        instant = INSTANTS[number % len(INSTANTS)]
        # dbt merges only where there is something already.
        state = "empty" if instant.statement[:5] != "merge" and number % 5 == 0 else "loaded"
        scene.put_back(state)
        command = scene.prepared.start("run", *WINDOW, small_loads=True)
        if not kill_at(instant, command, scene.warehouse, rng):
            tally.count("kill -9 too late, the run was over")
            continue
        stage, left = stage_of(command.output), unfinished(scene.warehouse)
        lost_state = number % 7 == 5
        if lost_state:
            shutil.rmtree(scene.clone.path / ".state")
        again = scene.prepared.run("run", *WINDOW, small_loads=True)
        assert again.code == 0, f"{number} {instant} {stage}:\n{command.output}\n{again.output}"
        lost, doubled = difference(scene.expected[state], marts(scene.warehouse))
        tally.count(
            f"kill -9 of a run, in {stage}{', then another machine' if lost_state else ''}",
            lost=len(lost),
            doubled=len(doubled),
            left_by_an_unfinished_load=int(left > 0),
        )
        assert not lost, f"{number} {instant} {stage}: {lost[:5]}"
        assert not doubled, f"{number} {instant} {stage}: {doubled[:5]}"
        assert_sums_add_up(scene.warehouse)
        assert not re.search("Traceback", again.output)

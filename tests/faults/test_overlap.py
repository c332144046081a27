"""Several at once: one run at a time, nobody waits for the dead, and a run that lost its lock stops."""

from __future__ import annotations

import re
import threading
from subprocess import CompletedProcess

from tests.end_to_end.commands import Command
from tests.faults.conftest import Scene
from tests.faults.machine import until
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts, query
from tests.ingestion.fake_api import Reply

HOLDERS = """
    select {} from pg_stat_activity
    where datname = current_database() and application_name ~ '^grader-elt (run|build) '
        and pid in (select pid from pg_locks where locktype = 'advisory' and granted)
"""


def slow(scene: Scene, seconds: float) -> None:
    """Let the grader think before each answer."""
    scene.grader.rule = lambda window, _number: Reply(scene.grader.body(window), wait=seconds)


def begun(command: Command, line: str = "ingest: asking for") -> bool:
    """Whether it has come so far."""
    return until(lambda: command.ended.is_set() or line in command.output) and not command.ended.is_set()


def assert_good(scene: Scene, tally: Tally, fault: str, state: str = "loaded") -> None:
    lost, doubled = difference(scene.expected[state], marts(scene.warehouse))
    tally.count(fault, lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(scene.warehouse)


def test_cron_on_a_backfill_on_an_analysts_build(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    slow(scene, 0.7)
    analysts: list[CompletedProcess[str]] = []

    def analyse() -> None:
        clone = scene.clone
        analysts.append(
            clone.command("dbt", "build", "--exclude-resource-type", "unit_test", cwd=clone.path / "dbt_project")
        )

    analyst = threading.Thread(target=analyse)
    analyst.start()
    backfill = scene.prepared.start("run", *WINDOW, small_loads=True)
    assert begun(backfill)
    cron = scene.prepared.run("run", *WINDOW)
    build = scene.prepared.run("build")
    patient = scene.prepared.start("run", *WINDOW, "--wait")
    assert (cron.code, build.code) == (4, 4)
    holder = rf"grader-elt run \S+:{backfill.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.search(f"Another run is at work on .*: {holder}", cron.output)
    assert "Traceback" not in cron.output + build.output
    assert (backfill.wait(), patient.wait()) == (0, 0), backfill.output + patient.output
    assert "waiting for another run: grader-elt run" in patient.output
    assert patient.output.index("waiting for another run") < patient.output.index("ingest: started")
    analyst.join()
    assert analysts[0].returncode == 0, analysts[0].stdout
    assert_good(scene, tally, "run on run on an analyst's build")


def test_the_lock_of_a_killed_run_is_free(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    slow(scene, 0.5)
    killed = scene.prepared.start("run", *WINDOW, small_loads=True)
    assert begun(killed)
    killed.kill()
    scene.grader.rule = lambda _window, _number: None
    assert scene.prepared.run("run", *WINDOW).code == 0
    assert_good(scene, tally, "a run right after a killed one")


def test_a_run_that_loses_its_lock_loads_nothing_more(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    slow(scene, 1)
    before = query(scene.warehouse, "select count(*) from raw._dlt_loads")
    run = scene.prepared.start("run", *WINDOW, small_loads=True)
    assert begun(run)
    assert query(scene.warehouse, HOLDERS.format("pg_terminate_backend(pid)")) == [(True,)]
    assert run.wait() == 1
    assert "no longer has" in run.output
    assert "Traceback" not in run.output
    assert query(scene.warehouse, "select count(*) from raw._dlt_loads") == before
    assert any("no longer has" in mail.read_text("utf-8", "replace") for mail in scene.clone.mails[-1:])
    scene.grader.rule = lambda _window, _number: None
    assert scene.prepared.run("run", *WINDOW).code == 0
    assert_good(scene, tally, "lock lost while loading")


def test_a_run_that_loses_its_lock_delivers_nothing(scene: Scene, tally: Tally) -> None:
    scene.put_back("loaded")
    run = scene.prepared.start("run", *WINDOW, small_loads=True)
    assert begun(run, "build: started")
    assert query(scene.warehouse, HOLDERS.format("pg_terminate_backend(pid)")) == [(True,)]
    assert run.wait() == 1
    assert "deliver: started" not in run.output
    assert scene.prepared.run("run", *WINDOW).code == 0
    assert_good(scene, tally, "lock lost while building")

"""The embedded PostgreSQL killed -9 during a run: the run fails cleanly, the next one repairs what is left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from embedded import postgres
from tests.faults.conftest import Scene
from tests.faults.machine import LONG, until
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts

# The line after which the server is killed, and how many seconds later at most.
MOMENTS = (("ingest: started", 0.5), ("Fetched", 0.6), ("build: started", 3.0), ("OK hook", 0.8))
NUMBERS = range(24 if LONG else 3)


def postmaster(state: Path) -> int:
    """The pid of the server whose data are in this state folder."""
    (file,) = state.glob("postgres/*/postmaster.pid")
    return int(file.read_text().split()[0])


def kill_server(pid: int) -> None:
    """kill -9 of the server and of every process it has made."""
    children = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            children.append(int(folder.name))
    for victim in (pid, *children):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the data folder of a server that has run before, in `postgres` and in `copy`."""
    state = tmp_path_factory.mktemp("used") / "state"
    postgres.start(state)
    postgres.stop(state)
    subprocess.run(["cp", "-a", state / "postgres", state / "copy"], check=True)
    return state


@pytest.fixture
def state(used: Path) -> Path:
    """The same folder with an empty database each time: its project is parsed once, its data folder made once."""
    shutil.rmtree(used / "postgres")
    subprocess.run(["cp", "-a", used / "copy", used / "postgres"], check=True)
    return used


@pytest.mark.parametrize("number", NUMBERS)
def test_a_run_after_the_server_was_killed(scene: Scene, tally: Tally, state: Path, number: int) -> None:
    scene.put_back("empty")
    line, delay = MOMENTS[(number + 1) % len(MOMENTS)]
    clone = scene.clone
    outside = {name: value for name, value in clone.settings.items() if name.startswith("POSTGRES_")}
    for name in outside:
        del clone.settings[name]
    try:
        command = scene.prepared.start("run", *WINDOW, small_loads=True, STATE_DIR=str(state))
        assert until(lambda: command.ended.is_set() or line in command.output)
        time.sleep(random.Random(number).random() * delay)
        kill_server(postmaster(state))
        in_time = command.wait() != 0
        assert command.code == int(in_time), command.output
        assert in_time or "All done" in command.output
        assert "Traceback" not in command.output
        again = scene.prepared.run("run", *WINDOW, small_loads=True, STATE_DIR=str(state))
        assert again.code == 0, command.output + again.output
        warehouse = postgres.find(state, database="grader")
        assert warehouse is not None
        lost, doubled = difference(scene.expected["empty"], marts(warehouse))
        fault = "kill -9 of the embedded PostgreSQL" + ("" if in_time else ", too late, the run was over")
        tally.count(fault, lost=len(lost), doubled=len(doubled))
        assert (lost, doubled) == ([], [])
        assert_sums_add_up(warehouse)
    finally:
        clone.settings |= outside
        postgres.stop(state)

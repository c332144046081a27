"""A database whose disk is really full, while loading and while building: a clear message, good once there is room."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.end_to_end.commands import Command
from tests.faults.conftest import Scene
from tests.faults.disks import KIB, Disk, file_limit, tablespace, whole_server
from tests.faults.machine import LONG
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, later, marts, records

Place = Callable[[], AbstractContextManager["Disk | None"]]
# How the disk is made small, and how much room is left in bytes.
LITTLE, SOME = 100 * KIB, 350 * KIB
EVERY: list[tuple[Place, int]] = [
    (tablespace, LITTLE),
    (file_limit, 0),
    (tablespace, SOME),
    (whole_server, LITTLE),
    (whole_server, SOME),
]


@pytest.mark.parametrize(("place", "left"), EVERY if LONG else EVERY[:1])
def test_a_full_disk(scene: Scene, tally: Tally, place: Place, left: int) -> None:
    scene.put_back("empty")
    with place() as found:
        if found is None:
            # Some other real bound, where this machine lets nobody mount.
            with file_limit() as limited:
                fill_while_loading_and_building(scene, tally, limited, 0)
        else:
            fill_while_loading_and_building(scene, tally, found, left)


def fill_while_loading_and_building(scene: Scene, tally: Tally, disk: Disk, left: int) -> None:
    elt, prepared = disk.server.elt, scene.prepared
    prepared.clone.use(elt)
    fault = f"disk full, {type(disk).__name__.lower()}"
    # Something to load on top of, and one good load before the bad.
    assert prepared.run("ingest", "--start", "2023-04-01", "--end", "2023-04-02").code == 0
    disk.fill(left)
    assert_reported(prepared.run("run", *WINDOW, small_loads=True), disk)
    room(disk)
    assert prepared.run("run", *WINDOW, small_loads=True).code == 0
    lost, doubled = difference(scene.expected["empty"], marts(elt))
    tally.count(f"{fault}, while loading", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(elt)

    before = marts(elt)
    scene.grader.records = later(records(1), 2)
    assert prepared.run("ingest", *WINDOW).code == 0
    disk.fill(left)
    assert_reported(prepared.run("build"), disk)
    room(disk)
    assert marts(elt) == before
    again = prepared.run("build")
    assert again.code == 0, again.output
    lost, doubled = difference(scene.expected["loaded"], marts(elt))
    tally.count(f"{fault}, while building", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(elt)


def assert_reported(failed: Command, disk: Disk) -> None:
    assert failed.code == 1, failed.output
    assert re.search(disk.message, failed.output), failed.output
    assert "Traceback" not in failed.output


def room(disk: Disk) -> None:
    """Make room, and start the server again if it could not go on without."""
    disk.enlarge()
    disk.server.wait_until_ready()

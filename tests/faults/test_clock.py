"""Machines elsewhere, clocks set back, days that are shorter or rarer than others."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.faults.conftest import Scene
from tests.faults.machine import LONG
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts, query
from tests.ingestion.fake_api import attempts, instant

DAY = 86_400
EVERY = [("Asia/Kolkata", 0), ("America/Los_Angeles", -3_600), ("UTC", -400 * DAY), ("UTC", 2 * DAY)]
FEW = [("Asia/Kolkata", -400 * DAY), ("America/Los_Angeles", 2 * DAY)]


@pytest.mark.parametrize(("zone", "clock"), EVERY if LONG else FEW)
def test_a_clock_that_differs_between_two_runs(scene: Scene, tally: Tally, zone: str, clock: int) -> None:
    scene.put_back("loaded")
    done = scene.prepared.run("run", *WINDOW, small_loads=True, clock=clock, TZ=zone)
    assert done.code == 0, done.output
    lost, doubled = difference(scene.expected["loaded"], marts(scene.warehouse))
    tally.count("clock or zone differs between two runs", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(scene.warehouse)


def test_an_end_in_the_far_future(scene: Scene) -> None:
    scene.put_back("empty")
    now = datetime.now(timezone.utc)
    scene.grader.records = attempts(f"{now - timedelta(hours=30):%Y-%m-%dT%H:%M:%S}", 20, timedelta(hours=1))
    done = scene.prepared.run("run", "--start", f"{now - timedelta(days=2):%Y-%m-%d}", "--end", "9999-12-31")
    assert done.code == 0, done.output
    assert query(scene.warehouse, "select count(*)::int from marts.attempts") == [(20,)]
    assert len(scene.grader.windows) < 6


def test_days_that_are_not_like_others(scene: Scene) -> None:
    """A leap day, the shortest and the longest of a year, each between its neighbours."""
    scene.put_back("empty")
    for start in ("2024-02-28", "2024-03-09", "2024-11-02"):
        scene.grader.records = attempts(f"{start}T12:00:00", 24 * 3, timedelta(hours=1))
        end = f"{instant(start) + timedelta(days=4):%Y-%m-%d}"
        loaded = scene.prepared.run("ingest", "--start", start, "--end", end)
        assert loaded.code == 0, loaded.output
    done = scene.prepared.run("build", REPORT_TIMEZONE="America/New_York")
    assert done.code == 0, done.output
    days = "select activity_date::text, attempts::int from marts.daily_metrics where attempts > 0 order by 1"
    local_days = """
        select (created_at at time zone 'America/New_York')::date::text, count(*)::int
        from marts.attempts group by 1 order by 1
    """
    found = query(scene.warehouse, days)
    assert found == query(scene.warehouse, local_days)
    assert sum(number for _, number in found) == 3 * 24 * 3
    assert {("2024-02-29", 24), ("2024-03-10", 23), ("2024-11-03", 25)} <= set(found)

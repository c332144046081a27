"""A warehouse as an earlier version, or somebody by hand, has left it: a run fixes it, or says to rebuild it."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.faults.conftest import Scene
from tests.faults.machine import LONG
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts

OLDER_RULES = "update marts.load_receipts set rules_version = 0"
NO_INDEXES = """
    do $$ declare found record;
    begin
        for found in select * from pg_indexes where schemaname in ('raw', 'staging', 'marts') loop
            execute format('drop index %I.%I', found.schemaname, found.indexname);
        end loop;
    end $$
"""
Cases = dict[str, tuple[str, ...]]
# What the next run fixes by itself.
FIXED: Cases = {
    "raw.fetches without later columns": (
        "alter table raw.fetches drop column round cascade, drop column repaired, drop column kept_as_text,"
        " drop column asked_start cascade, drop column asked_end cascade",
    ),
    "raw with the watermark's old name": ("alter table raw.watermark rename to settled",),
    "raw without the watermark": ("drop table if exists raw.watermark, raw.settled",),
    "raw without its index": ("drop index raw.attempts_record_no",),
    "columns of others in raw": ("alter table raw.attempts add column _dlt_id varchar, add column note text",),
    "older rules, and marts without columns": (
        OLDER_RULES,
        "alter table marts.learner_tasks drop column submits cascade",
        "alter table marts.attempts drop column activity_date cascade",
    ),
    "a mart that is a view": (
        "alter table marts.daily_metrics rename to daily_table",
        "create view marts.daily_metrics as select * from marts.daily_table",
    ),
    "a view on a mart": ("create view public.mine as select * from marts.attempts",),
    "a column of another type": ("alter table marts.learner_tasks alter column runs type numeric",),
    "a mart that is missing": ("drop table marts.rejected_attempts cascade",),
}
# What a rebuild from raw fixes; until then a run fails.
REBUILT: Cases = {
    "a mart without a column": ("alter table marts.learner_tasks drop column submits cascade",),
    "receipts without the rules' version": (
        "alter table marts.load_receipts drop column rules_version, drop column report_timezone",
    ),
    "a column of others in a mart": ("alter table marts.attempts add column note text",),
    "no indexes": (NO_INDEXES,),
}


def cases(each: Cases) -> Cases:
    """Each by itself in the long form, all at once in the short one."""
    return each if LONG else {"everything": tuple(text for texts in each.values() for text in texts)}


def make_older(scene: Scene, statements: tuple[str, ...]) -> None:
    scene.put_back("loaded")
    with closing(scene.warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def assert_equal(scene: Scene, tally: Tally, what: str) -> None:
    lost, doubled = difference(scene.expected["loaded"], marts(scene.warehouse))
    tally.count(f"older schema: {what}", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(scene.warehouse)


@pytest.mark.parametrize(("what", "statements"), cases(FIXED).items())
def test_what_a_run_fixes(scene: Scene, tally: Tally, what: str, statements: tuple[str, ...]) -> None:
    make_older(scene, statements)
    done = scene.prepared.run("run", *WINDOW)
    assert done.code == 0, done.output
    assert_equal(scene, tally, what)


@pytest.mark.parametrize(("what", "statements"), cases(REBUILT).items())
def test_what_a_rebuild_fixes(scene: Scene, tally: Tally, what: str, statements: tuple[str, ...]) -> None:
    make_older(scene, statements)
    done = scene.prepared.run("run", *WINDOW)
    if done.code:
        assert done.code == 1, done.output
        assert "dbt build stopped: " in done.output
        assert "Traceback" not in done.output
    done = scene.prepared.run("build", "--full-refresh")
    assert done.code == 0, done.output
    assert_equal(scene, tally, what)

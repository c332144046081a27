"""A database that fails during a run: a clear message, exit code 1, and the next run repairs what is left."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from itertools import product

import pytest

from tests.faults.conftest import Scene
from tests.faults.machine import LONG
from tests.faults.report import Tally
from tests.faults.school import WINDOW, assert_sums_add_up, difference, marts

# What happens to the session that writes a certain row.
FAULTS = {
    "connection lost": (
        "perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5);",
        "terminating connection|closed the connection|connection already closed|SSL connection has been closed",
    ),
    "statement timeout": ("perform pg_sleep(20);", "statement timeout"),
    "disk full": (
        """
        raise exception using
            errcode = '53100', message = 'could not extend file "base/1/2": No space left on device';
        """,
        "No space left on device",
    ),
}
TABLES = {
    "mid-COPY": ("raw.attempts", "new.record_no % 500 = 7"),
    "before a load's mark": ("raw._dlt_loads", "true"),
    "mid-build, staging": ("staging.stg_grader__attempts", "new.record_no % 500 = 7"),
    "mid-build, marts": ("marts.learner_tasks", "new.record_no > 2000"),
    "mid-build, receipts": ("marts.load_receipts", "true"),
}


def execute(scene: Scene, *statements: str) -> None:
    with closing(scene.warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


EVERY = list(product(FAULTS, TABLES))
FEW = [EVERY[number] for number in (0, 3, 6, 10, 14)]


@pytest.mark.parametrize(("fault", "table"), EVERY if LONG else FEW)
def test_a_fault_at_a_certain_row(scene: Scene, tally: Tally, fault: str, table: str) -> None:
    scene.put_back("loaded")
    (action, message), (relation, condition) = FAULTS[fault], TABLES[table]
    execute(
        scene,
        f"""
        create function public.fail() returns trigger language plpgsql as $$
        begin if {condition} then {action} end if; return new; end $$
        """,
        f"""
        create trigger fail before insert or update on {relation}
        for each row execute function public.fail()
        """,
    )
    scene.administer(f"alter database {scene.warehouse.dbname} set statement_timeout = '4s'")
    run = scene.prepared.run("run", *WINDOW, small_loads=True)
    assert run.code == 1, run.output
    assert re.search(message, run.output)
    assert "Traceback" not in run.output
    assert "FAILED" in run.output.upper()
    scene.administer(f"alter database {scene.warehouse.dbname} reset statement_timeout")
    execute(scene, "drop function public.fail() cascade")
    again = scene.prepared.run("run", *WINDOW, small_loads=True)
    assert again.code == 0, again.output
    lost, doubled = difference(scene.expected["loaded"], marts(scene.warehouse))
    tally.count(f"database: {fault}, {table}", lost=len(lost), doubled=len(doubled))
    assert (lost, doubled) == ([], [])
    assert_sums_add_up(scene.warehouse)


def test_a_wrong_password_and_a_database_that_is_not_there(scene: Scene, tally: Tally) -> None:
    host = "127.0.0.1" if scene.server.host.startswith("/") else scene.server.host
    wrong = replace(scene.warehouse, host=host, password="wr0ng/pass word")
    for warehouse, message in (
        (wrong, "password authentication failed"),
        (replace(scene.warehouse, dbname="no_such_database"), "does not exist"),
        (replace(scene.warehouse, host="127.0.0.1", port=1), "refused"),
    ):
        settings = {
            "POSTGRES_HOST": warehouse.host,
            "POSTGRES_PORT": str(warehouse.port),
            "POSTGRES_DB": warehouse.dbname,
            "POSTGRES_PASSWORD": warehouse.password,
        }
        for command in (("run", *WINDOW), ("build",), ("deliver",)):
            done = scene.prepared.run(*command, **settings)
            leaked = done.output.count("wr0ng")
            tally.count(f"database: {message}", leaked=leaked)
            assert done.code == 1, done.output
            assert message in done.output
            assert "POSTGRES_" in done.output
            assert "Traceback" not in done.output
            assert leaked == 0

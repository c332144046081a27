"""Making, starting, finding and stopping the embedded server of a state folder."""

import contextlib
import logging
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from embedded.postgres.account import Account, server_account
from embedded.postgres.binaries import Installation, choose, keep, usable_by
from embedded.postgres.data_folder import ROLE, make_data_folder, write_configuration
from embedded.postgres.errors import EmbeddedPostgresError, with_log
from embedded.postgres.folders import Home, file_lock, write_private
from embedded.postgres.process import (
    Postmaster,
    is_alive,
    launch,
    log_sizes,
    logged_since,
    remove_old_logs,
    running_postmaster,
    shut_down,
)
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse

DATABASE = "grader"

# Recovery after a crash reads up to max_wal_size again: as long as the server is alive, wait for it.
_READY_SECONDS = 300.0
_STOP_SECONDS = 120.0
_ORPHANS_SECONDS = 30.0

_log = logging.getLogger(__name__)


def start(state_dir: Path, settings: Mapping[str, str] | None = None, database: str = DATABASE) -> Warehouse:
    """A database of the embedded server; both are made, and the server started, as needed.

    `settings` are further settings of PostgreSQL's (name to value) for a server that isn't running yet; with
    `fsync` off, making the database doesn't wait for the disk either. Any number of processes may call it at
    once. The server outlives the caller. Raises EmbeddedPostgresError.
    """
    with clean_errors(f"The embedded PostgreSQL in {state_dir} could not be started"):
        if (found := find(state_dir, database)) is not None:
            return found
        home = Home(state_dir)
        account = server_account(home.state_dir, home.path)
        home.create(account)
        with file_lock(home.path / "lock"):
            if (found := find(state_dir, database)) is not None:
                return found
            installation = choose(home.majors(), home.programs)
            _keep_programs(installation, home)
            if choose([], home.programs).major > installation.major:
                _log.info("A newer PostgreSQL is here than the embedded database's: `make db-upgrade` brings it there")
            data = home.data(installation.major)
            running = running_postmaster(data)
            if running is not None:
                ready = _ready(home, data, running.pid)
            else:
                runnable = usable_by(installation, account)
                if not data.exists():
                    make_data_folder(runnable, account, data, settings or {})
                ready = _start_server(runnable, account, home, data, settings or {})
            if ready is None:
                raise EmbeddedPostgresError(f"The embedded PostgreSQL in {data} ended while it was starting.")
            return _prepare(home, account, ready, database)


def find(state_dir: Path, database: str = DATABASE) -> Warehouse | None:
    """A database of the state folder's running server; None when that is down, not ready or hasn't got it.

    Whoever answers has to prove that the data folder is this one. Raises EmbeddedPostgresError.
    """
    with clean_errors(f"The embedded PostgreSQL in {state_dir} could not be looked for"):
        home = Home(state_dir)
        postmaster = _running(home)
        if postmaster is not None:
            warehouse = _warehouse(home, postmaster, database)
            if _refusal(warehouse, postmaster) is None:
                return warehouse
        return None


def stop(state_dir: Path) -> bool:
    """Shut the server down, ending its connections; False when it wasn't running. Raises EmbeddedPostgresError."""
    with clean_errors(f"The embedded PostgreSQL in {state_dir} could not be stopped"):
        home = Home(state_dir)
        if not home.majors():
            return False
        with file_lock(home.path / "lock"):
            return stop_locked(home)


def stop_locked(home: Home) -> bool:
    """Shut the server down; the caller holds the lock. Raises EmbeddedPostgresError."""
    postmaster = _running(home)
    if postmaster is not None and not shut_down(postmaster.pid, _STOP_SECONDS):
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL (process {postmaster.pid}) is still shutting down after "
            f"{_STOP_SECONDS:.0f} s; its log is in {postmaster.data / 'log'}."
        )
    return postmaster is not None


def password_file(state_dir: Path) -> Path:
    """The file with the password of `grader` on 127.0.0.1, for analysts' tools; there once it was started."""
    return Home(state_dir).password_file


def _keep_programs(installation: Installation, home: Home) -> None:
    try:
        keep(installation, home.programs)
    except OSError as error:
        _log.warning("PostgreSQL's programs could not be put aside in %s for a later upgrade: %s", home.programs, error)


def _running(home: Home) -> Postmaster | None:
    servers = (running_postmaster(home.data(major)) for major in home.majors())
    return next(filter(None, servers), None)


def _start_server(
    installation: Installation, account: Account, home: Home, data: Path, settings: Mapping[str, str]
) -> Postmaster:
    deadline = time.monotonic() + _ORPHANS_SECONDS
    remove_old_logs(data)
    while True:
        port = write_configuration(home, data, account, settings)
        before = log_sizes(data)
        pid = launch(installation, account, data)
        if ready := _ready(home, data, pid):
            _link_default_socket(home, port)
            write_private(home.port_file, f"{port}\n", account)
            _log.info("Started the embedded PostgreSQL on 127.0.0.1:%s, process %s", port, pid)
            return ready
        logged = logged_since(data, before)
        # Another program took the port a moment ago, or backends of a killed server are still ending.
        temporary = "could not create any TCP/IP sockets" in logged or "shared memory block" in logged
        if not temporary or time.monotonic() > deadline:
            raise with_log(
                f"The embedded PostgreSQL in {data} did not start. Its logs are in its folder `log`. If the "
                "cause can't be fixed, move the folder away to begin with an empty database.",
                logged,
            )
        time.sleep(0.3)


def _link_default_socket(home: Home, port: int) -> None:
    """Give the socket the name of PostgreSQL's default port, too, for `profiles.yml`, which can't know another."""
    link = home.sockets / ".s.PGSQL.5432"
    link.unlink(missing_ok=True)
    link.symlink_to(f".s.PGSQL.{port}")


def _ready(home: Home, data: Path, pid: int) -> Postmaster | None:
    """The server, once it accepts connections; None when its process `pid` has ended before that."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        postmaster = running_postmaster(data)
        if postmaster is not None:
            refusal = _refusal(_warehouse(home, postmaster, "postgres"), postmaster)
            if refusal is None:
                return postmaster
            if "authentication failed" in refusal:
                raise EmbeddedPostgresError(
                    f"The embedded PostgreSQL in {data} was started by another user, who alone may use it "
                    "without a password. Stop it (`make db-stop`) and try again."
                )
        if not is_alive(pid):
            return None
        time.sleep(0.03)
    raise with_log(
        f"The embedded PostgreSQL in {data} is running but accepts no connections. "
        "Stop it (`make db-stop`) and try again.",
        logged_since(data, {}),
    )


def _prepare(home: Home, account: Account, postmaster: Postmaster, database: str) -> Warehouse:
    """Give the role its password and make the database, the last step of a first start."""
    with _warehouse(home, postmaster, "postgres").session("grader-elt start", autocommit=True) as cursor:
        if not home.password_file.exists():
            password = secrets.token_urlsafe(24)
            # Only the salted hash is sent: a statement may be logged.
            hashed = encrypt_password(password, ROLE, cursor.connection, "scram-sha-256")
            cursor.execute(f"alter role {ROLE} password %s", [hashed])
            write_private(home.password_file, f"{password}\n", account)
        cursor.execute("select from pg_database where datname = %s", [database])
        if cursor.rowcount == 0:
            cursor.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
    return _warehouse(home, postmaster, database)


def _warehouse(home: Home, postmaster: Postmaster, dbname: str) -> Warehouse:
    return Warehouse(home.reachable_sockets(), postmaster.port, dbname, ROLE)


def _refusal(warehouse: Warehouse, postmaster: Postmaster) -> str | None:
    """Why the database can't be used; None when its server runs in the folder `postmaster` was read from."""
    try:
        rows = warehouse.query("select pg_read_file('postmaster.pid')")
    except WarehouseError as error:
        _log.debug("%s", error)
        return str(error)
    lines = str(rows[0][0]).splitlines()
    return None if lines[:3:2] == [str(postmaster.pid), postmaster.started] else "another server answers"


@contextlib.contextmanager
def clean_errors(what: str) -> Iterator[None]:
    """Let what fails in the block leave as EmbeddedPostgresError, led by `what`."""
    try:
        yield
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"{what}: no permission for {error.filename or 'a folder'}. It may belong to another user: run "
            "as that user, or set STATE_DIR to a folder of your own."
        ) from error
    except (OSError, WarehouseError, subprocess.TimeoutExpired) as error:
        raise EmbeddedPostgresError(f"{what}: {str(error).strip()}") from error

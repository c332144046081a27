"""Copies of the embedded server's databases: written by pg_dump in its custom format, put back by pg_restore."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from psycopg2 import sql

from embedded.postgres.binaries import client_program
from embedded.postgres.errors import EmbeddedPostgresError, with_log
from embedded.postgres.folders import Home
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse

_TERMINATED_MILLISECONDS = 5_000
_SWAP_TRIES = 5
_MOST_JOBS = 4
# Nothing of the caller's environment: PG* variables steer these programs.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")

# What no backup holds: rights on the database itself, and what accounts have set in it.
_OF_THE_DATABASE = """
    select datacl is not null or exists (select from pg_db_role_setting where setdatabase = pg_database.oid)
    from pg_database where datname = current_database()
"""
_END_SESSIONS = """
    select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = any(%s) and pid <> pg_backend_pid()
"""
_TABLE = re.compile(r"^\d+; \d+ \d+ TABLE (\S+) (\S+) ", re.MULTILINE)
_DATABASE = re.compile(r"^; +dbname: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Contents:
    """What a dump says of itself: the database it is of, and its tables (`schema.name`)."""

    database: str
    tables: frozenset[str]


@dataclass(frozen=True)
class Restored:
    """What could not be kept: owners and grants of roles that aren't here; rights on the database itself."""

    without_grants: bool
    without_database_grants: bool


def write_dump(state_dir: Path, warehouse: Warehouse, file: IO[bytes]) -> None:
    """Write a database of the state folder's running server, as it is at this moment, to a file.

    Others may read and write meanwhile. Raises EmbeddedPostgresError.
    """
    _run(state_dir, "pg_dump", *warehouse.client_options(), "--no-password", "--format=custom", output=file)


def contents(state_dir: Path, path: Path) -> Contents:
    """What a dump holds. Raises EmbeddedPostgresError when pg_restore can't read the file."""
    listed = _run(state_dir, "pg_restore", "--list", str(path.absolute()))
    found = _DATABASE.search(listed)
    tables = frozenset(f"{schema}.{name}" for schema, name in _TABLE.findall(listed))
    return Contents(found[1] if found else "", tables)


def restore_dump(
    state_dir: Path, warehouse: Warehouse, path: Path, before_replacing: Callable[[], None] = lambda: None
) -> Restored:
    """Put a dump in a database's place; the database is as it was when anything fails.

    The dump is restored beside it. Then the sessions of the old one are ended, the names change in one
    transaction, and the old one is dropped. `before_replacing` may raise, to leave everything as it is. Raises
    EmbeddedPostgresError, WarehouseError.
    """
    server = replace(warehouse, dbname="postgres")
    new = replace(warehouse, dbname=f"{warehouse.dbname}_restoring")
    old = replace(warehouse, dbname=f"{warehouse.dbname}_replaced")
    # What a killed restore left; the names change at once, so neither is the only copy of anything.
    _drop(server, new.dbname, old.dbname)
    try:
        without_grants = _fill(state_dir, server, new, path)
        [(without_database_grants,)] = warehouse.query(_OF_THE_DATABASE)
        before_replacing()
        _swap(server, {warehouse.dbname: old.dbname, new.dbname: warehouse.dbname})
    except BaseException:
        with contextlib.suppress(WarehouseError):
            _drop(server, new.dbname)
        raise
    _drop(server, old.dbname)
    return Restored(without_grants, without_database_grants)


def _fill(state_dir: Path, server: Warehouse, new: Warehouse, path: Path) -> bool:
    """Make the database `new` from a dump; True when owners and grants had to be left out."""
    jobs = f"--jobs={min(_MOST_JOBS, os.cpu_count() or 1)}"
    command = (*new.client_options(), "--no-password", "--exit-on-error", jobs, str(path.absolute()))
    _create(server, new.dbname)
    without_grants = False
    try:
        _run(state_dir, "pg_restore", *command)
    except EmbeddedPostgresError as error:
        # Roles belong to a server, not to a database.
        if not re.search(r'role ".*" does not exist', str(error)):
            raise
        without_grants = True
    if without_grants:
        _drop(server, new.dbname)
        _create(server, new.dbname)
        _run(state_dir, "pg_restore", "--no-owner", "--no-acl", *command)
    with new.session("grader-elt restore", autocommit=True) as cursor:
        # A dump has no statistics, and the first build would plan without any.
        cursor.execute("analyze")
    return without_grants


def _swap(server: Warehouse, names: dict[str, str]) -> None:
    """Rename databases, in one transaction, ending the sessions that are in the way."""
    for last in (False,) * (_SWAP_TRIES - 1) + (True,):
        try:
            _end_sessions(server, [*names])
            with server.session("grader-elt restore") as cursor:
                for name, other in names.items():
                    rename = sql.SQL("alter database {} rename to {}")
                    cursor.execute(rename.format(sql.Identifier(name), sql.Identifier(other)))
            return
        except WarehouseError:
            # Somebody connected in between.
            if last:
                raise


def _end_sessions(server: Warehouse, names: list[str]) -> None:
    with server.session("grader-elt restore") as cursor:
        cursor.execute(_END_SESSIONS, (_TERMINATED_MILLISECONDS, names))


def _create(server: Warehouse, name: str) -> None:
    with server.session("grader-elt restore", autocommit=True) as cursor:
        cursor.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))


def _drop(server: Warehouse, *names: str) -> None:
    with server.session("grader-elt restore", autocommit=True) as cursor:
        for name in names:
            cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _run(state_dir: Path, program: str, *arguments: str, output: IO[bytes] | None = None) -> str:
    """Run a client program of the server's version; returns what it printed, unless that goes to `output`."""
    home = Home(state_dir)
    binary = client_program(program, home.majors(), home.programs)
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - a program of the installation, no shell
            [binary, *arguments],
            env={"PATH": os.defpath, **environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise EmbeddedPostgresError(f"{binary} could not be started: {error.strerror}.") from None
    if done.returncode != 0:
        raise with_log(f"{program} ended with {done.returncode}.", done.stderr.decode("utf-8", errors="replace"))
    return "" if output else done.stdout.decode("utf-8", errors="replace")

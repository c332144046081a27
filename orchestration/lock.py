"""One pipeline run at a time on a warehouse, by a PostgreSQL advisory lock.

The lock belongs to a database session, so it ends with its owner however that dies, and it holds between machines.
A connection pooler in transaction mode would break that: connect to PostgreSQL itself.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg2

from ingestion.warehouse import Warehouse, sentence
from orchestration.errors import LockedError, StageError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

logger = logging.getLogger(__name__)

# How often a run that waits for its turn looks again, in seconds.
GLANCE = 1.0
# Any fixed number; "grader" as a big-endian integer, so that it is recognisable in pg_locks.
LOCK_KEY = int.from_bytes(b"grader", "big")

# The holder's name ends with when it took the lock, by the server's clock: another account's names are shown to everyone,
# its times are not.
TAKE = """
    select case
        when pg_try_advisory_lock(%s)
            then set_config(
                'application_name',
                %s || to_char(clock_timestamp() at time zone 'UTC', ' YYYYMMDD"T"HH24MISS"Z"'),
                false
            )
    end is not null
"""
NAME = re.compile(
    r"(?P<name>.+) (?P<date>\d{4})(?P<month>\d\d)(?P<day>\d\d)T(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)Z"
)
HOLDER = """
    select activity.application_name, activity.pid
    from pg_locks as locks
    inner join pg_stat_activity as activity on locks.pid = activity.pid
    where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
        and (locks.classid::bigint << 32) + locks.objid::bigint = %s
        and locks.database = (select oid from pg_database where datname = current_database())
"""
HELD_BY = f"select count(*) from ({HOLDER}) as holder where pid = %s"  # noqa: S608


class Held:
    """The lock, as its owner knows it."""

    def __init__(self, warehouse: Warehouse, connection: Connection) -> None:
        self._warehouse = warehouse
        self._pid = connection.info.backend_pid

    def check(self) -> None:
        """Raise StageError unless the server still keeps the session that holds the lock.

        A restart of the server, an administrator, a lost network can end it while its owner works on; then another run may
        be at work. Asked in a session of its own, which finds out at once where a dead line would keep the lock's waiting.
        """
        try:
            connection = self._warehouse.connect("grader-elt lock check")
            try:
                with connection.cursor() as cursor:
                    cursor.execute(HELD_BY, (LOCK_KEY, self._pid))
                    held = cursor.fetchall() == [(1,)]
            finally:
                connection.close()
        except psycopg2.Error as error:
            problem = sentence(error)
        else:
            if held:
                return
            problem = "the session that keeps other runs away has ended."
        raise StageError(
            f"This run no longer has {self._warehouse.label} to itself: {problem} "
            "Nothing more was done; see whether the server was restarted, then run again."
        )


@contextmanager
def pipeline_lock(warehouse: Warehouse, command: str, wait: bool = False) -> Iterator[Held]:
    """Hold the lock while the block runs; the block gets it to ask whether it still has it.

    `command` names the holder to others. With `wait` it waits for its turn. Raises LockedError, naming the holder and since
    when, if another run has the lock; StageError if the database cannot be reached.
    """
    # PostgreSQL cuts application names at 63 bytes, and 17 of them tell since when.
    host, pid = socket.gethostname().encode("ascii", "replace").decode(), f":{os.getpid()}"
    name = f"grader-elt {command} {host}"[: 63 - 17 - len(pid)] + pid
    connection = None
    problem = ""
    try:
        try:
            # A lost line must not hold up the end of a run either.
            connection = warehouse.connect(name, tcp_user_timeout=30_000)
            connection.autocommit = True
            with connection.cursor() as cursor:
                # The session idles while its owner works; a server that ends idle ones would end the lock.
                cursor.execute("set idle_session_timeout = 0")
                _acquire(cursor, warehouse, name, wait)
        except psycopg2.Error as error:
            problem = sentence(error)
        if problem:
            raise StageError(
                f"The database {warehouse.label} cannot be reached: {problem} Check POSTGRES_* and the server."
            )
        assert connection is not None
        try:
            yield Held(warehouse, connection)
        finally:
            _release(connection)
    finally:
        if connection is not None:
            connection.close()


def _acquire(cursor: Cursor, warehouse: Warehouse, name: str, wait: bool) -> None:
    """Take the lock; asks again and again rather than wait in the server, where Ctrl-C and timeouts would not work."""
    told = False
    while True:
        cursor.execute(TAKE, (LOCK_KEY, name))
        if cursor.fetchall() == [(True,)]:
            return
        if not wait:
            raise LockedError(
                f"Another run is at work on {warehouse.label}: {_holder(cursor)}. Wait for it, or use --wait."
            )
        if not told:
            logger.info("waiting for another run: %s", _holder(cursor))
            told = True
        time.sleep(GLANCE)


def _release(connection: Connection) -> None:
    """Give the lock back: the server goes on with a closed session for a moment, and the next run may come at once."""
    with suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_unlock(%s)", (LOCK_KEY,))


def _holder(cursor: Cursor) -> str:
    """Who has the lock, and since when."""
    cursor.execute(HOLDER, (LOCK_KEY,))
    for name, _ in cursor.fetchall():
        if parts := NAME.fullmatch(name):
            return "{name}, since {date}-{month}-{day} {hour}:{minute}:{second} UTC".format(
                **parts.groupdict()
            )
        return name or "another session"
    return "another session"

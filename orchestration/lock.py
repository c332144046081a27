"""One pipeline run at a time on a warehouse, by a PostgreSQL advisory lock.

The lock belongs to a database session, so it ends with its owner however that dies, and it holds between machines.
A connection pooler in transaction mode would break that: connect to PostgreSQL itself.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timezone
from typing import TYPE_CHECKING

import psycopg2

from ingestion.warehouse import Warehouse
from orchestration.errors import LockedError, StageError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

logger = logging.getLogger(__name__)

# How often a run that waits for its turn looks again, in seconds.
GLANCE = 1.0
# Any fixed number; "grader" as a big-endian integer, so that it is recognisable in pg_locks.
LOCK_KEY = int.from_bytes(b"grader", "big")

# A session that holds the lock says nothing more after taking it, so its last change of state is when it got it. Another
# account's times are hidden from an ordinary one, its name is not.
HOLDER = """
    select activity.application_name, activity.state_change, activity.pid
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
        be at work. Asked in a session of its own: what the lock's session last did tells others since when it is held.
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
            problem = " ".join(str(error).split())
        else:
            if held:
                return
            problem = "the session that keeps other runs away has ended"
        raise StageError(
            f"This run no longer has {self._warehouse.label} to itself: {problem}. "
            "Nothing more was done; see whether the server was restarted, then run again."
        )


@contextmanager
def pipeline_lock(warehouse: Warehouse, command: str, wait: bool = False) -> Iterator[Held]:
    """Hold the lock while the block runs; the block gets it to ask whether it still has it.

    `command` names the holder to others. With `wait` it waits for its turn. Raises LockedError, naming the holder and since
    when, if another run has the lock; StageError if the database cannot be reached.
    """
    # PostgreSQL cuts application names at 63 bytes.
    name = f"grader-elt {command} {socket.gethostname()[:20]}:{os.getpid()}"
    connection = None
    problem = ""
    try:
        try:
            connection = warehouse.connect(name)
            connection.autocommit = True
            with connection.cursor() as cursor:
                # The session idles while its owner works; a server that ends idle ones would end the lock.
                cursor.execute("set idle_session_timeout = 0")
                _acquire(cursor, warehouse, wait)
        except psycopg2.Error as error:
            problem = " ".join(str(error).split())
        if problem:
            raise StageError(
                f"The database {warehouse.label} cannot be reached: {problem}. Check POSTGRES_* and the server."
            )
        assert connection is not None
        yield Held(warehouse, connection)
    finally:
        if connection is not None:
            connection.close()


def _acquire(cursor: Cursor, warehouse: Warehouse, wait: bool) -> None:
    """Take the lock; asks again and again rather than wait in the server, where Ctrl-C and timeouts would not work."""
    told = False
    while True:
        cursor.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,))
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


def _holder(cursor: Cursor) -> str:
    """Who has the lock, and since when if this account may know."""
    cursor.execute(HOLDER, (LOCK_KEY,))
    for name, since, _ in cursor.fetchall():
        when = f", since {since.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if since else ""
        return f"{name or 'another session'}{when}"
    return "another session"

"""One pipeline run at a time on a warehouse, by a PostgreSQL advisory lock.

The lock belongs to a database session, so it ends with its owner however that dies, and it holds
between machines. A connection pooler in transaction mode would break that.
"""

import logging
import os
import socket
import time
from contextlib import ExitStack, suppress
from datetime import datetime

import psycopg2
from psycopg2.extensions import cursor as Cursor

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.errors import LockedError, StageError

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Any fixed number; "grader" as a big-endian integer, so that it is recognisable in pg_locks.
LOCK_KEY = int.from_bytes(b"grader", "big")

# The holder's name ends with when it took the lock, by the server's clock: PostgreSQL shows another
# account's names to everyone, its times not.
SINCE = "%Y%m%dT%H%M%SZ"
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
HOLDER = """
    select activity.application_name, activity.pid
    from pg_locks as locks
    inner join pg_stat_activity as activity on locks.pid = activity.pid
    where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
        and (locks.classid::bigint << 32) + locks.objid::bigint = %s
        and locks.database = (select oid from pg_database where datname = current_database())
"""
HELD_BY = f"select count(*) from ({HOLDER}) as holder where pid = %s"  # noqa: S608


class PipelineLock:
    """The lock, held while the `with` block runs.

    `command` names the holder to others. With `wait` it waits for its turn.
    """

    def __init__(self, warehouse: Warehouse, command: str, wait: bool = False) -> None:
        # PostgreSQL cuts application names at 63 bytes, and the last 17 are the time.
        host, pid = socket.gethostname().encode("ascii", "replace").decode(), f":{os.getpid()}"
        self._name = f"grader-elt {command} {host}"[: 63 - 17 - len(pid)] + pid
        self._warehouse, self._wait = warehouse, wait
        self._session = ExitStack()
        self._pid = 0

    def take(self) -> "PipelineLock":
        """Take the lock. Raises LockedError, naming the holder and since when; WarehouseError."""
        with ExitStack() as session:
            # A lost line must not hold up the end of a run either.
            cursor = session.enter_context(
                self._warehouse.session(self._name, autocommit=True, tcp_user_timeout=30_000)
            )
            _acquire(cursor, self._warehouse, self._name, self._wait)
            session.callback(_release, cursor)
            self._pid = cursor.connection.info.backend_pid
            self._session = session.pop_all()
        return self

    def __enter__(self) -> "PipelineLock":
        return self if self._pid else self.take()

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def check(self) -> None:
        """Raise StageError unless the server still keeps the session that holds the lock."""
        check_held(self._warehouse, self._pid)

    def renew(self) -> None:
        """Take the lock again if its session has ended. Raises LockedError, WarehouseError."""
        try:
            self.check()
        except StageError:
            self._session.close()
            self.take()


def _release(cursor: Cursor) -> None:
    # The server keeps a closed session for a moment, and the next run may start now.
    with suppress(psycopg2.Error):
        cursor.execute("select pg_advisory_unlock(%s)", (LOCK_KEY,))


def check_held(warehouse: Warehouse, pid: int) -> None:
    """Raise StageError unless the server still keeps the session `pid` that holds the lock.

    A restarted server, an administrator or a lost network can end it while its owner works on,
    and another run may start. A new session notices at once where a dead line would keep waiting.
    """
    problem = "the session that keeps other runs away has ended."
    try:
        with warehouse.session("grader-elt lock check") as cursor:
            cursor.execute(HELD_BY, (LOCK_KEY, pid))
            if cursor.fetchall() == [(1,)]:
                return
    except WarehouseError as error:
        problem = str(error)
    raise StageError(
        f"This run no longer has {warehouse.label} to itself: {problem} "
        "Nothing more was done; see whether the server was restarted, then run again.",
        outage=True,
    )


def _acquire(cursor: Cursor, warehouse: Warehouse, name: str, wait: bool) -> None:
    """Take the lock; polls, for Ctrl-C and timeouts don't work while the server waits."""
    announced = False
    # The session idles while its owner works; a server that ends idle ones would end the lock.
    cursor.execute("set idle_session_timeout = 0")
    while True:
        cursor.execute(TAKE, (LOCK_KEY, name))
        if cursor.fetchall() == [(True,)]:
            return
        if not wait:
            raise LockedError(
                f"Another run is at work on {warehouse.label}: {_holder(cursor)}. Wait for it, or use --wait."
            )
        if not announced:
            logger.warning("waiting for another run: %s", _holder(cursor))
            announced = True
        time.sleep(POLL_SECONDS)


def _holder(cursor: Cursor) -> str:
    cursor.execute(HOLDER, (LOCK_KEY,))
    found = next((name for name, _ in cursor.fetchall()), "")
    name, _, since = found.rpartition(" ")
    try:
        return f"{name}, since {datetime.strptime(since, SINCE)} UTC"
    except ValueError:
        return found or "another session"

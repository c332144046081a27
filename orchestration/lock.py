"""One pipeline run at a time on a warehouse, by a PostgreSQL advisory lock.

The lock belongs to a database session, so it ends with its owner however that dies, and it holds between machines.
A connection pooler in transaction mode would break that: connect to PostgreSQL itself.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from ingestion.warehouse import Warehouse
from orchestration.errors import LockedError, StageError

logger = logging.getLogger(__name__)

# Any fixed number; "grader" as a big-endian integer, so that it is recognisable in pg_locks.
LOCK_KEY = int.from_bytes(b"grader", "big")

HOLDER = """
    select activity.application_name, activity.backend_start
    from pg_locks as locks
    inner join pg_stat_activity as activity on locks.pid = activity.pid
    where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
        and (locks.classid::bigint << 32) + locks.objid::bigint = %s
        and locks.database = (select oid from pg_database where datname = current_database())
"""


@contextmanager
def pipeline_lock(warehouse: Warehouse, command: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock while the block runs.

    `command` names the holder to others. With `wait` it waits for its turn. Raises LockedError, naming the holder and since
    when, if another run has the lock; StageError if the database cannot be reached.
    """
    # PostgreSQL cuts application names at 63 bytes.
    name = f"grader-elt {command} {socket.gethostname()[:20]}:{os.getpid()}"
    try:
        connection = warehouse.connect(name)
    except psycopg2.OperationalError as error:
        message = f"The database {warehouse.label} cannot be reached: {str(error).strip()}. Check POSTGRES_* and the server."
    else:
        message = ""
    if message:
        raise StageError(message)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,))
            if not cursor.fetchone()[0]:
                cursor.execute(HOLDER, (LOCK_KEY,))
                row = cursor.fetchone()
                holder = f"{row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S %Z}" if row and row[0] else "another session"
                if not wait:
                    raise LockedError(f"Another run is at work on {warehouse.label}: {holder}. Wait for it, or use --wait.")
                logger.info("waiting for another run: %s", holder)
                cursor.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        yield
    finally:
        connection.close()

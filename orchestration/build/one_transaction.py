"""A whole dbt build in one transaction: what it makes is seen by others all at once, after its tests, or not at all.

dbt itself gives each model a connection and a transaction of its own, so that readers can meet marts of two builds, and
a failing test comes after the fact. Here all of dbt's connections are one session of ours, and what dbt
takes for transactions are savepoints in it. Whoever opened the session commits or leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import TRANSACTION_STATUS_INTRANS

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from ingestion.warehouse import Warehouse

_COMMIT = re.compile(r"\s*(/\*.*?\*/)?\s*commit\s*;?\s*", re.IGNORECASE | re.DOTALL)


@contextmanager
def one_transaction(warehouse: Warehouse) -> Iterator[Connection]:
    """Let every connection that dbt opens inside the block be one session, which the block is given.

    dbt must use one thread. What has not been committed by the end is undone. Raises psycopg2.OperationalError when the
    database can't be reached.
    """
    # Loads the adapter only where dbt is used: commands that don't need it shouldn't wait for it.
    from dbt.adapters.postgres.connections import PostgresConnectionManager
    from dbt.adapters.postgres.impl import PostgresAdapter
    from dbt_common.exceptions import DbtRuntimeError

    session = warehouse.connect("grader-elt dbt")

    class OneSession(PostgresConnectionManager):  # type: ignore[misc, unused-ignore]
        """dbt's connections, all of them on one session."""

        @classmethod
        def open(cls, connection: Any) -> Any:
            connection.handle = session
            connection.state = "open"
            return connection

        def begin(self) -> None:
            connection = self.get_thread_connection()
            if not connection.transaction_open:
                self._transact("savepoint of_dbt")
                connection.transaction_open = True

        @classmethod
        def close(cls, connection: Any) -> Any:
            # dbt gives up what it has not committed; here a build that goes wrong is given up as a whole.
            if connection.transaction_open and can_commit(session):
                _execute(session, "release savepoint of_dbt")
                connection.transaction_open = False
            return super().close(connection)

        def add_query(self, sql: str, auto_begin: bool = True, *rest: Any, **options: Any) -> Any:
            # A statement that fails outside of a savepoint would break the whole transaction; a `commit`, which dbt sends
            # before hooks that are to run after one, would end it.
            if _COMMIT.fullmatch(sql):
                raise DbtRuntimeError("a build is one transaction: hooks can't run before or after it")
            return super().add_query(sql, True, *rest, **options)

        def commit(self) -> None:
            self._transact("release savepoint of_dbt")
            self.get_thread_connection().transaction_open = False

        def _transact(self, statement: str) -> None:
            # Turns the driver's errors into dbt's own, which fail one model and not dbt as a whole.
            with self.exception_handler(statement):
                _execute(session, statement)

        def rollback_if_open(self) -> None:
            connection = self.get_if_exists()
            if connection is not None and connection.transaction_open:
                self._rollback_handle(connection)
                connection.transaction_open = False

        @classmethod
        def _rollback_handle(cls, connection: Any) -> None:
            if not session.closed:
                _execute(session, "rollback to savepoint of_dbt; release savepoint of_dbt")

        @classmethod
        def _close_handle(cls, connection: Any) -> None:
            """The session outlives what dbt does with it."""

        def cancel(self, connection: Any) -> None:
            session.cancel()

    usual = PostgresAdapter.ConnectionManager
    PostgresAdapter.ConnectionManager = OneSession
    try:
        # The session waits while dbt thinks; a server that ends such ones would end the build.
        _execute(session, "set idle_in_transaction_session_timeout = 0")
        session.commit()
        yield session
    finally:
        PostgresAdapter.ConnectionManager = usual
        session.close()


def can_commit(session: Connection) -> bool:
    """Whether a commit would keep what was done: of a broken transaction the server takes it, too, and undoes everything."""
    return not session.closed and session.info.transaction_status == TRANSACTION_STATUS_INTRANS


def _execute(session: Connection, statement: str) -> None:
    with session.cursor() as cursor:
        cursor.execute(statement)

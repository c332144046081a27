"""A whole dbt build in one transaction: others see all of it at once, after its tests, or nothing.

dbt gives each model a connection and a transaction of its own. Here every connection it opens is
one session of ours, on which dbt's commits and rollbacks work on a savepoint. Of dbt only the
method that opens a connection is replaced.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_INTRANS, connection, cursor

from ingestion.warehouse import Warehouse

# A commit by itself, or as the last statement of several.
_COMMIT_AT_THE_END = re.compile(
    r"(?:\A(?:\s|/\*.*?\*/)*|;\s*)commit(?:\s+(?:work|transaction))?\s*;?\s*\Z", re.IGNORECASE | re.DOTALL
)
# What may end a transaction anywhere else; `end` also ends a function's body, and `rollback` goes
# to savepoints.
_MAY_END = re.compile(r"\b(?:commit|end|rollback|abort)\b", re.IGNORECASE)
_CANCEL_EVERY = 0.2
_NODE = re.compile(r'"node_id": "([^"]+)"')


class TransactionLostError(psycopg2.InternalError):
    """A statement of dbt ended the build's transaction; `node` is what sent it."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"{node} ended the build's transaction by a commit or rollback of its own inside a statement. "
            "What was built before a commit is visible; nothing more is published. Remove that statement, "
            "or the package that sends it, then run again."
        )


class Cursor(cursor):
    """Executes dbt's statements inside the savepoint."""

    def execute(self, query: Any, values: Any = None) -> None:
        session: Session = self.connection  # type: ignore[assignment]
        if session.lost is not None:
            raise session.lost
        if session.interrupted.is_set():
            raise psycopg2.errors.QueryCanceled("the build was interrupted")
        text = query if isinstance(query, str) else str(query)
        if node := _NODE.search(text):
            session.node = node[1]
        kept = _COMMIT_AT_THE_END.sub("", text)
        try:
            if kept.strip(" \t\r\n;"):
                super().execute(kept if kept != text else query, values)
            if kept != text:
                session.commit()
            elif _MAY_END.search(text):
                session.assert_open()
        except TransactionLostError:
            raise
        except psycopg2.Error:
            session.rollback()
            raise


class Session(connection):
    """The build's only connection.

    `commit`, `rollback`, `close` are dbt's and end nothing; `publish` and `discard` end the transaction.
    """

    lost: TransactionLostError | None = None
    node = "A hook or a macro"
    """What sent the last statement that named its node."""

    def begin(self) -> None:
        self.interrupted = threading.Event()
        with super().cursor() as own:
            # The session waits while dbt thinks; a server that ends such ones would end the build.
            own.execute("set idle_in_transaction_session_timeout = 0")
            super().commit()
            own.execute("select pg_current_xact_id()::text")
            self._transaction = own.fetchone()
            own.execute("savepoint of_dbt")

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        return super().cursor(*arguments, **{"cursor_factory": Cursor, **options})

    def commit(self) -> None:
        self._to_savepoint("release savepoint of_dbt; savepoint of_dbt")

    def rollback(self) -> None:
        if not self.closed and self.lost is None:
            self._to_savepoint("rollback to savepoint of_dbt")

    def close(self) -> None:
        """dbt closes its connections as it likes; the session stays."""

    def assert_open(self) -> None:
        """Raise TransactionLostError when the transaction is no longer the one that `begin` began."""
        with super().cursor() as own:
            own.execute("select pg_current_xact_id()::text")
            if own.fetchone() != self._transaction:
                self._lose()

    def _to_savepoint(self, statement: str) -> None:
        try:
            with super().cursor() as own:
                own.execute(statement)
        except psycopg2.errors.InvalidSavepointSpecification:
            self._lose()

    def _lose(self) -> None:
        self.lost = TransactionLostError(self.node)
        raise self.lost

    @property
    def can_publish(self) -> bool:
        """Whether a commit would keep the build: a broken transaction takes one, too, and undoes all."""
        return not self.closed and self.lost is None and self.info.transaction_status == TRANSACTION_STATUS_INTRANS

    def publish(self) -> None:
        super().commit()

    def discard(self) -> None:
        super().close()

    def interrupt(self) -> None:
        """Let no statement begin any more, and cancel the one under way. Another thread may call it."""
        self.interrupted.set()
        threading.Thread(target=self._keep_cancelling, daemon=True).start()

    def _keep_cancelling(self) -> None:
        # Again and again, because a statement may be on its way to the server; dbt's own way to
        # cancel would wait for it on this very session.
        while not self.closed:
            with suppress(psycopg2.Error):
                self.cancel()
            time.sleep(_CANCEL_EVERY)


@contextmanager
def one_transaction(warehouse: Warehouse) -> Iterator[Session]:
    """Let every connection that dbt opens in the block be one session, for the block to publish.

    dbt must use one thread. What has not been published by the end is undone. Raises
    psycopg2.OperationalError when the database can't be reached.
    """
    # Loads the adapter only where dbt is used: commands that don't need it shouldn't wait for it.
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    session = warehouse.connect("grader-elt dbt", connection_factory=Session)
    assert isinstance(session, Session)

    def opened(_: type, opening: Any) -> Any:
        opening.handle, opening.state = session, "open"
        return opening

    usual = PostgresConnectionManager.__dict__["open"]
    try:
        session.begin()
        PostgresConnectionManager.open = classmethod(opened)
        yield session
    finally:
        PostgresConnectionManager.open = usual
        session.discard()

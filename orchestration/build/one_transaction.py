"""A whole dbt build in one transaction: others see what it made all at once, after its tests, or not at all.

dbt gives each model a connection and a transaction of its own. Here every connection it opens is one session of
ours, on which dbt's commits and rollbacks work on a savepoint. Of dbt only the method that opens a connection is
replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS, connection, cursor

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

# A commit by itself, or as the last statement of several.
_COMMIT_AT_THE_END = re.compile(
    r"(?:\A(?:\s|/\*.*?\*/)*|;\s*)(?:commit|end)(?:\s+(?:work|transaction))?\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_NODE = re.compile(r'"node_id": "([^"]+)"')
_NEXT_SAVEPOINT = "release savepoint of_dbt; savepoint of_dbt"


class TransactionLostError(psycopg2.InternalError):
    """A statement of dbt ended the build's transaction; `node` is what sent it."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"{node} ended the build's transaction by a commit of its own inside a statement. What was built before it "
            "is visible; nothing more is published. Remove the commit, or the package that sends it, then run again."
        )
        self.node = node


class Cursor(cursor):
    """Executes dbt's statements inside the savepoint."""

    def execute(self, query: Any, values: Any = None) -> None:
        session: Session = self.connection  # type: ignore[assignment]
        if session.lost is not None:
            raise session.lost
        text = query if isinstance(query, str) else str(query)
        kept = _COMMIT_AT_THE_END.sub("", text)
        try:
            if kept.strip(" \t\r\n;"):
                super().execute(kept if kept != text else query, values)
            if session.info.transaction_status == TRANSACTION_STATUS_IDLE:
                session.lose(text)
            if kept != text:
                super().execute(_NEXT_SAVEPOINT)
        except psycopg2.errors.InvalidSavepointSpecification:
            session.lose(text)
        except psycopg2.Error:
            session.rollback()
            raise


class Session(connection):
    """The build's only connection.

    `commit`, `rollback` and `close` are dbt's and end nothing; `publish` and `discard` end the transaction.
    """

    lost: TransactionLostError | None = None

    def begin(self) -> None:
        """Begin the transaction. Raises psycopg2.Error."""
        with super().cursor() as own:
            # The session waits while dbt thinks; a server that ends such ones would end the build.
            own.execute("set idle_in_transaction_session_timeout = 0")
            super().commit()
            own.execute("savepoint of_dbt")

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        return super().cursor(*arguments, **{"cursor_factory": Cursor, **options})

    def commit(self) -> None:
        with super().cursor() as own:
            own.execute(_NEXT_SAVEPOINT)

    def rollback(self) -> None:
        if not self.closed and self.lost is None:
            with super().cursor() as own:
                own.execute("rollback to savepoint of_dbt")

    def close(self) -> None:
        """dbt closes its connections as it likes; the session stays."""

    def lose(self, query: str) -> None:
        """Note that `query` has ended the transaction, and raise TransactionLostError."""
        node = _NODE.search(query)
        self.lost = TransactionLostError(node[1] if node else "A hook or a macro")
        raise self.lost

    @property
    def can_publish(self) -> bool:
        """Whether a commit would keep the build; of a broken transaction the server takes it, too, and undoes everything."""
        return (
            not self.closed
            and self.lost is None
            and self.info.transaction_status == TRANSACTION_STATUS_INTRANS
        )

    def publish(self) -> None:
        """Commit the build. Raises psycopg2.Error."""
        super().commit()

    def discard(self) -> None:
        """Give up what was not published."""
        super().close()


@contextmanager
def one_transaction(warehouse: Warehouse) -> Iterator[Session]:
    """Let every connection that dbt opens inside the block be one session, which the block is given and publishes.

    dbt must use one thread. What has not been published by the end is undone. Raises psycopg2.OperationalError when the
    database can't be reached.
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

"""Where the warehouse is: the one value every stage connects with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import Composable

from ingestion.errors import WarehouseError

OLDEST_POSTGRES = 15


def exists(cursor: Cursor, relation: str) -> bool:
    """Whether there is a table or view of that name (`schema.name`)."""
    cursor.execute("select to_regclass(%s) is not null", (relation,))
    return cursor.fetchall() == [(True,)]


def fetch_rows(cursor: Cursor) -> list[dict[str, Any]]:
    """What a query found, each row by column name."""
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Warehouse:
    """A PostgreSQL database and the account to use it with.

    `host` is a host name, an address, or the absolute path of the folder that holds the server's Unix socket.
    `password` is empty where the server asks for none (the embedded one knows its owner by the socket).
    `distributed`: it is the coordinator of a Citus cluster, whose workers are to hold the large tables.
    """

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    distributed: bool = False

    @property
    def label(self) -> str:
        """The database as people name it, without the password: `user@host:port/dbname`."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def connect(self, application_name: str = "grader-elt", **options: Any) -> Connection:
        """Open a psycopg2 connection; `options` are libpq's further connection parameters.

        Raises psycopg2.OperationalError; libpq's messages name host and user, never the password.
        """
        connection: Connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname=self.dbname,
            user=self.user,
            password=self.password or None,
            sslmode=self.sslmode,
            application_name=application_name,
            client_encoding="UTF8",
            connect_timeout=15,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            **options,
        )
        return connection

    @contextmanager
    def session(
        self, application_name: str = "grader-elt", autocommit: bool = False, **options: Any
    ) -> Iterator[Cursor]:
        """A cursor on a connection of its own, times in UTC; committed when the block ends well.

        With `autocommit` each statement is a transaction of its own. `options` are libpq's. Raises
        WarehouseError (PostgreSQL's first line, its SQLSTATE, what to do) for all that psycopg2 raises.
        """
        connection: Connection | None = None
        failure: WarehouseError | None = None
        try:
            connection = self.connect(application_name, options="-c timezone=UTC", **options)
            connection.autocommit = autocommit
            with connection.cursor() as cursor:
                yield cursor
            if not autocommit:
                connection.commit()
        except psycopg2.Error as error:
            failure = self.failure(error)
        finally:
            if connection is not None:
                connection.close()
        if failure is not None:
            raise failure

    def query(
        self, statement: str | Composable, values: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows one statement finds, in a session of its own. Raises WarehouseError."""
        with self.session() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def failure(self, error: psycopg2.Error) -> WarehouseError:
        """The error to raise for one of psycopg2's: PostgreSQL's words, no values, what to do."""
        said = " ".join((error.diag.message_primary or str(error)).split()) or type(error).__name__
        if error.pgcode is None or error.pgcode.startswith(("08", "28", "3D", "57")):
            advice = "check POSTGRES_* and that the server is up, then run again"
        elif error.pgcode == "42501":
            advice = "grant this account what `make roles` lists"
        else:
            advice = "run again; if it goes on, look at the server's log"
        code = f" (SQLSTATE {error.pgcode})" if error.pgcode else ""
        text = f"The warehouse {self.label} failed: {said}{code}. What to do: {advice}."
        return WarehouseError(text, outage=is_outage(error))

    def client_options(self) -> tuple[str, ...]:
        """The same as options of PostgreSQL's client programs; a password must not be among them."""
        return (
            f"--host={self.host}",
            f"--port={self.port}",
            f"--username={self.user}",
            f"--dbname={self.dbname}",
        )

    def dlt_url(self) -> str:
        """The same as a SQLAlchemy-style URL for dlt, which insists on a password even where none is needed."""
        password = quote(self.password or "none", safe="")
        user, dbname = quote(self.user, safe=""), quote(self.dbname, safe="")
        host, option = self.host, f"sslmode={self.sslmode}"
        if host.startswith("/"):
            host, option = "localhost", f"host={quote(host, safe='')}"
        elif ":" in host:
            host = f"[{host}]"
        return f"postgresql://{user}:{password}@{host}:{self.port}/{dbname}?{option}&client_encoding=UTF8"


def is_outage(error: psycopg2.Error) -> bool:
    """Whether the server was away, or could not take a session for now; a refusal for good is none."""
    if error.pgcode is not None:
        # connection exceptions, too many connections, an operator's shutdown
        return error.pgcode.startswith(("08", "53300", "57P"))
    text = str(error)
    refused = "FATAL:" in text and not re.search("the database system is|too many|remaining connection slots", text)
    return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) and not refused

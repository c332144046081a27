"""What a failing data test found: a few rows for the mail, and the table of `store_failures`."""

import io
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from ingestion.warehouse import Warehouse
from orchestration.build.one_transaction import Session
from orchestration.deliver import words

log = logging.getLogger(__name__)

SHOWN_TEXTS = frozenset(
    {
        *("activity_date", "attempt_type", "block_id", "course_key", "rejection_reasons", "reason"),
        *("field", "kind", "_dlt_load_id"),
    }
)
"""Columns whose texts are shown; the text of every other column might name a learner and is replaced."""

SAMPLES, KEPT_FAILURES = 3, 100_000

_SAFE_TEXT = re.compile(r"[\w .,:+@/{}\"-]{0,200}")


def sample_rows(session: Connection, query: str) -> tuple[str, ...]:
    """A few rows that `query` (a failing test's compiled SQL) finds, as `column=value` texts.

    `session` is the one the test has run in: others can't see yet what it looked at. Its
    transaction stays as it was. Equal hidden values get equal names (`user_id 1`). A query that
    fails or takes over 10 seconds gives no rows: the mail does not fail for want of a sample.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute("savepoint samples; set local statement_timeout = '10s'")
            try:
                rows = f"select * from (\n{query}\n) as failing limit {SAMPLES}"  # noqa: S608 dbt's own SQL
                cursor.execute(rows)
                names = [column.name for column in cursor.description or ()]
                return masked(names, cursor.fetchall())
            finally:
                if not session.closed:
                    cursor.execute("rollback to savepoint samples; release savepoint samples")
    except psycopg2.Error as problem:
        log.warning("no sample rows of the failing test: %s", words.one_line(str(problem), 200))
        return ()


@dataclass(frozen=True)
class StoredFailures:
    """The table that dbt made of a failing test: quoted name, columns as DDL, rows for COPY."""

    schema: str
    table: str
    columns: str
    rows: bytes


def stored_failures(session: Session, results: Iterable[Any]) -> list[StoredFailures]:
    """Read the failing tests' tables of `store_failures`, before the transaction takes them back."""
    found = []
    for result in results:
        node = result.node
        if str(result.status) == "fail" and getattr(node.config, "store_failures", False):
            rows = io.BytesIO()
            with session.cursor() as cursor:
                cursor.execute(
                    "select string_agg("
                    "format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)"
                    " from pg_catalog.pg_attribute where attrelid = %s::regclass and attnum > 0",
                    (node.relation_name,),
                )
                columns = cursor.fetchone()[0]
                query = f"select * from {node.relation_name} limit {KEPT_FAILURES}"  # noqa: S608 dbt's own name
                cursor.copy_expert(f"copy ({query}) to stdout", rows)
            found.append(StoredFailures(node.schema, node.relation_name, columns, rows.getvalue()))
    return found


def keep_failures(warehouse: Warehouse, failures: Iterable[StoredFailures]) -> None:
    """Write the tables again after the build was taken back. Raises WarehouseError."""
    for stored in failures:
        with warehouse.session() as cursor:
            cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(stored.schema)))
            cursor.execute(f"drop table if exists {stored.table}; create table {stored.table} ({stored.columns})")
            cursor.copy_expert(f"copy {stored.table} from stdin", io.BytesIO(stored.rows))


def masked(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """Each row as `column=value, …`; of texts only those of `SHOWN_TEXTS` as they are."""
    seen: dict[tuple[str, str], str] = {}
    return tuple(
        ", ".join(f"{name}={_shown(name, value, seen)}" for name, value in zip(names, row, strict=True)) for row in rows
    )


def _shown(name: str, value: Any, seen: dict[tuple[str, str], str]) -> str:
    if value is None or isinstance(value, bool | int | float | Decimal | date | datetime):
        return str(value)
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if name in SHOWN_TEXTS and _SAFE_TEXT.fullmatch(text):
        return text
    number = 1 + sum(1 for other, _ in seen if other == name)
    return seen.setdefault((name, text), f"({name} {number})")

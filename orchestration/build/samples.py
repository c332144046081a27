"""A few rows of a failing data test for the mail, without anything that names a learner."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2

from orchestration.deliver import words

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

log = logging.getLogger(__name__)

SHOWN_TEXTS = frozenset(
    {"activity_date", "attempt_type", "block_id", "course_key", "rejection_reasons", "reason", "_dlt_load_id"}
)
"""Columns whose texts are shown; the text of every other column might name a learner and is replaced."""

_SAFE_TEXT = re.compile(r"[\w .,:+@/{}\"-]{0,200}")


def sample_rows(session: Connection, query: str, limit: int = 3) -> tuple[str, ...]:
    """Up to `limit` rows that `query` (a failing test's compiled SQL) finds, as `column=value` texts.

    `session` is the one the test has run in: others can't see yet what it looked at. Its transaction stays as it was. Equal
    hidden values get equal names (`user_id 1`). A query that fails or takes over 10 seconds gives no rows: the mail about a
    failure does not fail for want of a sample.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute("savepoint samples; set local statement_timeout = '10s'")
            try:
                cursor.execute(f"select * from (\n{query}\n) as failing limit {int(limit)}")  # noqa: S608 - dbt's own SQL
                names = [column.name for column in cursor.description or ()]
                return masked(names, cursor.fetchall())
            finally:
                if not session.closed:
                    cursor.execute("rollback to savepoint samples; release savepoint samples")
    except psycopg2.Error as problem:
        log.warning("no sample rows of the failing test: %s", words.one_line(str(problem), 200))
        return ()


def masked(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    """Each row as `column=value, …`; numbers, verdicts and times as they are, texts only of `SHOWN_TEXTS`."""
    seen: dict[tuple[str, str], str] = {}
    return tuple(
        ", ".join(f"{name}={_shown(name, value, seen)}" for name, value in zip(names, row, strict=True))
        for row in rows
    )


def _shown(name: str, value: Any, seen: dict[tuple[str, str], str]) -> str:
    if value is None or isinstance(value, bool | int | float | Decimal | date | datetime):
        return str(value)
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if name in SHOWN_TEXTS and _SAFE_TEXT.fullmatch(text):
        return text
    number = 1 + sum(1 for other, _ in seen if other == name)
    return seen.setdefault((name, text), f"({name} {number})")

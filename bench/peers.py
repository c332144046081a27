"""What a user would pick instead, each in its plainest sound form."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from psycopg2.extras import execute_values

from ingestion.warehouse import Warehouse

_DAILY = Path(__file__).with_name("daily_metrics.duckdb.sql")
_FIELDS = ("oauth_consumer_key", "lis_result_sourcedid", "lis_outcome_service_url")


def copy(warehouse: Warehouse, bodies: Sequence[Path]) -> None:
    """psycopg2's COPY of the records' own texts into one jsonb column: nothing is decoded, nothing is checked."""
    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("create table peer_copy (record jsonb not null)")
        cursor.copy_expert("copy peer_copy from stdin", _Lines(_texts(bodies)), size=1 << 20)


def insert(warehouse: Warehouse, bodies: Sequence[Path]) -> None:
    """psycopg2's execute_values, a thousand rows at a time, into the same table."""
    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("create table peer_insert (record jsonb not null)")
        rows = ((text.decode(),) for text in _texts(bodies))
        execute_values(cursor, "insert into peer_insert values %s", rows, "(%s::jsonb)", page_size=1000)


def dlt_defaults(warehouse: Warehouse, bodies: Sequence[Path], work_dir: Path) -> None:
    """dlt as its first page of documentation uses it: dictionaries in, everything else left to it."""
    import dlt

    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(work_dir),
        destination=dlt.destinations.postgres(warehouse.dlt_url()),
        dataset_name="peer_dlt",
    )
    pipeline.run(_records(bodies), table_name="attempts")


def duckdb_daily_metrics(bodies: Sequence[Path]) -> list[tuple[Any, ...]]:
    """The daily metrics, computed in this process from the same bodies, with exact parsing; nothing is stored."""
    import duckdb  # type: ignore[import-not-found, unused-ignore]

    with closing(duckdb.connect()) as connection:
        connection.create_function(
            "read_passback", _read_passback, ["VARCHAR"], "VARCHAR[]", null_handling="special"
        )
        connection.execute("set timezone = 'UTC'")
        files = [str(path) for path in bodies]
        days: list[tuple[Any, ...]] = connection.execute(
            _DAILY.read_text(encoding="utf-8"), {"files": files}
        ).fetchall()
        return days


def drop(warehouse: Warehouse) -> None:
    """Remove what the peers made."""
    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists peer_copy, peer_insert; drop schema if exists peer_dlt cascade")
        cursor.execute("drop schema if exists peer_dlt_staging cascade")


def _records(bodies: Sequence[Path]) -> Iterator[Any]:
    for path in bodies:
        yield from json.loads(path.read_bytes())


def _texts(bodies: Sequence[Path]) -> Iterator[bytes]:
    for path in bodies:
        yield from map(bytes, msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw]))


def _read_passback(text: str | None) -> list[str | None] | None:
    try:
        params = ast.literal_eval(text or "")
        return [params.get(name) for name in _FIELDS]
    except (ValueError, SyntaxError, AttributeError):
        return None


class _Lines:
    """Texts of records as a file in COPY's text format."""

    def __init__(self, texts: Iterator[bytes]) -> None:
        self._lines = (text.replace(b"\\", b"\\\\") + b"\n" for text in texts)

    def read(self, size: int = -1, /) -> bytes:
        lines: list[bytes] = []
        length = 0
        for line in self._lines:
            lines.append(line)
            length += len(line)
            if 0 <= size <= length:
                break
        return b"".join(lines)

    def readline(self, size: int = -1, /) -> bytes:
        return next(self._lines, b"")

"""What a user would pick instead, each in its plainest sound form."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from ingestion.warehouse import Warehouse

_DAILY = Path(__file__).with_name("daily_metrics.duckdb.sql")
_FIELDS = ("oauth_consumer_key", "lis_result_sourcedid", "lis_outcome_service_url")


def copy(warehouse: Warehouse, bodies: Iterable[bytes]) -> None:
    """psycopg2's COPY of the records' own texts into one jsonb column: nothing is decoded, nothing is checked."""
    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        _prepare(connection, "create table peer_copy (record jsonb not null)")
        cursor.copy_expert("copy peer_copy from stdin", _Lines(_texts(bodies)), size=1 << 20)


def _prepare(connection: Connection, statement: str) -> None:
    """Make a table that is there before the load, as a daily one's is; one made by the load's transaction is not logged."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.commit()


def insert(warehouse: Warehouse, bodies: Iterable[bytes]) -> None:
    """psycopg2's execute_values, a thousand rows at a time, into the same table."""
    from psycopg2.extras import execute_values

    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        _prepare(connection, "create table peer_insert (record jsonb not null)")
        rows = ((text.decode(),) for text in _texts(bodies))
        execute_values(cursor, "insert into peer_insert values %s", rows, "(%s::jsonb)", page_size=1000)


def dlt_defaults(warehouse: Warehouse, bodies: Iterable[bytes], work_dir: Path) -> None:
    """dlt as its first page of documentation uses it: dictionaries in, everything else left to it.

    A body that holds a record which is no object would stop it; the benchmark's hold none.
    """
    import os

    import dlt

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir=str(work_dir),
        destination=dlt.destinations.postgres(warehouse.dlt_url()),
        dataset_name="peer_dlt",
    )
    pipeline.run((record for body in bodies for record in json.loads(body)), table_name="attempts")


def duckdb_daily_metrics(bodies: Sequence[Path]) -> list[dict[str, Any]]:
    """The daily metrics, computed in this process from the same bodies, with exact parsing; nothing is stored."""
    import duckdb  # type: ignore[import-not-found, unused-ignore]

    with closing(duckdb.connect()) as connection:
        connection.create_function(  # type: ignore[call-overload, unused-ignore]
            "read_passback", _read_passback, ["VARCHAR"], "VARCHAR[]", null_handling="special"
        )
        connection.execute("set timezone = 'UTC'")
        files = [str(path) for path in bodies]
        result = connection.execute(_DAILY.read_text(encoding="utf-8"), {"files": files})
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _texts(bodies: Iterable[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield from map(bytes, msgspec.json.decode(body, type=list[msgspec.Raw]))


def _read_passback(text: str | None) -> list[str] | None:
    """The three fields of a repr or a JSON object, '' for those left out or None; None where a rule refuses them."""
    params: Any = None
    for read in (ast.literal_eval, json.loads):
        try:
            params = read(text or "")
            break
        except (ValueError, SyntaxError):
            continue
    if not isinstance(params, dict):
        return None
    fields = ["" if params.get(name) is None else params[name] for name in _FIELDS]
    return fields if all(isinstance(field, str) for field in fields) else None


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

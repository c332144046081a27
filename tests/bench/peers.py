"""What a user would load with instead, each in its plainest sound form, in a process of its own.

`python -m tests.bench.peers NAME JSON`: the JSON has the `warehouse` and the `bodies`, the files to load. The
benchmark's bodies hold objects only and nothing that jsonb refuses; anything else would stop these.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ingestion.warehouse import Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


def copy(warehouse: Warehouse, bodies: Iterable[bytes]) -> None:
    """psycopg2's COPY of the records' own texts into one jsonb column: nothing is decoded, nothing is checked."""
    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        _create(connection, "peer_copy")
        cursor.copy_expert("copy peer_copy from stdin", _Lines(_texts(bodies)), size=1 << 20)


def insert(warehouse: Warehouse, bodies: Iterable[bytes]) -> None:
    """psycopg2's execute_values, a thousand rows at a time, into the same table."""
    from psycopg2.extras import execute_values

    with closing(warehouse.connect()) as connection, connection, connection.cursor() as cursor:
        _create(connection, "peer_insert")
        rows = ((text.decode(),) for text in _texts(bodies))
        execute_values(cursor, "insert into peer_insert values %s", rows, "(%s::jsonb)", page_size=1000)


def dlt(warehouse: Warehouse, bodies: Iterable[bytes]) -> None:
    """dlt as the first page of its documentation uses it: dictionaries in, everything else left to it."""
    import dlt

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        destination = dlt.destinations.postgres(warehouse.dlt_url())
        pipeline = dlt.pipeline("peer", pipelines_dir=folder, destination=destination, dataset_name="peer_dlt")
        records = (record for body in bodies for record in json.loads(body))
        pipeline.run(records, table_name="attempts")


def _create(connection: Connection, table: str) -> None:
    """Create a table that is there before the load: one created by the load's transaction is not logged."""
    with connection.cursor() as cursor:
        cursor.execute(f"create table {table} (record jsonb not null)")
    connection.commit()


def _texts(bodies: Iterable[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield from map(bytes, msgspec.json.decode(body, type=list[msgspec.Raw]))


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


_PEERS: dict[str, Callable[[Warehouse, Iterable[bytes]], None]] = {"copy": copy, "insert": insert, "dlt": dlt}


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    files = (Path(file).read_bytes() for file in arguments["bodies"])
    _PEERS[sys.argv[1]](Warehouse(**arguments["warehouse"]), files)

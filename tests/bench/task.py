"""One task in a process of its own: `python -m bench.task NAME JSON`.

The JSON has `bodies`, the files, and `start` and `end`, the window they are the answers for; the warehouse and the API
come from the product's settings. What a task has to tell it prints as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.settings import Settings, read_settings

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

_QUERIES = 5


class Task:
    """The tasks, by their names."""

    def __init__(self, settings: Settings, start: datetime, end: datetime, bodies: list[Path]) -> None:
        assert settings.api is not None
        assert settings.warehouse is not None
        self._settings, self._start, self._end, self._bodies = settings, start, end, bodies
        self._warehouse: Warehouse = settings.warehouse
        self._url, self._client = settings.api.url, settings.api.client

    def ingest(self) -> None:
        """The product: HTTP to committed raw rows."""
        from ingestion.api import Api, GraderApi
        from ingestion.pipeline import ingest
        from ingestion.windows import Window

        with tempfile.TemporaryDirectory() as folder:
            ingest(
                GraderApi(Api(self._url, self._client, "made-up")),
                self._warehouse,
                [Window(self._start, self._end)],
                Path(folder),
                lambda: datetime.now(timezone.utc),
            )

    def whole(self) -> None:
        """The product: HTTP to tested marts."""
        from orchestration.build.dbt import Dbt

        self.ingest()
        result = Dbt(self._warehouse, self._settings.report_timezone, self._settings.state_dir).build()
        if result.failures:
            raise SystemExit(f"the build failed: {result.failures}")

    def copy(self) -> None:
        """psycopg2's COPY, from files."""
        from tests.bench import peers

        peers.copy(self._warehouse, (path.read_bytes() for path in self._bodies))

    def copy_http(self) -> None:
        """psycopg2's COPY, from the same API as the product."""
        from tests.bench import peers

        peers.copy(self._warehouse, self._fetched())

    def fetch(self) -> None:
        """Nothing but fetching."""
        for _ in self._fetched():
            pass

    def insert(self) -> None:
        """psycopg2's execute_values, from files."""
        from tests.bench import peers

        peers.insert(self._warehouse, (path.read_bytes() for path in self._bodies))

    def dlt(self) -> None:
        """dlt with its defaults, from files."""
        from tests.bench import peers

        with tempfile.TemporaryDirectory() as folder:
            peers.dlt_defaults(self._warehouse, (path.read_bytes() for path in self._bodies), Path(folder))

    def duckdb(self) -> list[dict[str, Any]]:
        """DuckDB's daily metrics, from files."""
        from tests.bench import peers

        return peers.duckdb_daily_metrics(self._bodies)

    def period(self) -> dict[str, float]:
        """The query behind `make metrics` alone: median milliseconds, pages looked at."""
        from statistics import median

        from orchestration.build.dbt import Dbt

        dbt = Dbt(self._warehouse, self._settings.report_timezone, self._settings.state_dir)
        start, end = self._start.isoformat(sep=" "), self._end.isoformat(sep=" ")
        query = dbt.compile_inline(f"{{{{ period_metrics('{start}', '{end}') }}}}")
        plans = []
        with closing(self._warehouse.connect()) as connection, connection.cursor() as cursor:
            for _ in range(_QUERIES):
                cursor.execute(f"explain (analyze, buffers, timing off, format json) {query}")
                plans.append(cursor.fetchall()[0][0][0])
        top = plans[-1]["Plan"]
        return {
            "milliseconds": median(plan["Execution Time"] for plan in plans),
            "pages": top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        }

    def _fetched(self) -> Iterator[bytes]:
        """The bodies from the API, a day at a time over one connection."""
        import requests

        with requests.Session() as session:
            start = self._start
            while start < self._end:
                end = start + timedelta(days=1)
                window = {"start": f"{start:%Y-%m-%d %H:%M:%S.%f}", "end": f"{end:%Y-%m-%d %H:%M:%S.%f}"}
                answer = session.get(self._url, params={"client": self._client, **window}, timeout=60)
                answer.raise_for_status()
                yield answer.content
                start = end


def main() -> None:
    """Run the task named on the command line."""
    arguments = json.loads(sys.argv[2])
    start, end = (datetime.fromisoformat(arguments[name]) for name in ("start", "end"))
    settings = read_settings(env_file=Path(os.devnull))
    told: Callable[[], Any] = getattr(
        Task(settings, start, end, [Path(body) for body in arguments["bodies"]]), sys.argv[1]
    )
    print(json.dumps(told(), default=str))


if __name__ == "__main__":
    main()

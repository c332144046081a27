"""One measured thing in a process of its own: `python -m bench.task NAME JSON` prints what it cost as one JSON object."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench import bodies, peers
from ingestion.warehouse import Warehouse

_MOSCOW = ZoneInfo("Europe/Moscow")


def main() -> None:
    """Run the task named on the command line."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    warehouse = Warehouse(**arguments["warehouse"])
    work_dir = Path(arguments["work_dir"])
    days = range(arguments["first"], arguments["first"] + arguments["days"])
    files = [
        Path(arguments["bodies"]) / f"{bodies.FIRST_DAY + timedelta(days=day):%Y-%m-%d}.json" for day in days
    ]

    def ingest() -> None:
        from ingestion.api import Api, GraderApi
        from ingestion.pipeline import ingest as product_ingest
        from ingestion.windows import Window

        window = Window(*(bodies.FIRST_DAY + timedelta(days=day) for day in (days.start, days.stop)))
        api = GraderApi(Api(arguments["url"], "bench", "bench"))
        product_ingest(api, warehouse, [window], work_dir / "ingest", lambda: datetime.now(timezone.utc))

    def build(full_refresh: bool = False) -> None:
        from orchestration.transform import Dbt

        result = Dbt(warehouse, _MOSCOW, work_dir).build(full_refresh)
        if result.failures:
            raise SystemExit(f"the build failed: {result.failures}")

    def metrics() -> None:
        from ingestion.windows import Window
        from orchestration.metrics import period_metrics
        from orchestration.transform import Dbt

        window = Window(*(bodies.FIRST_DAY + timedelta(days=day) for day in (days.start, days.stop)))
        period_metrics(Dbt(warehouse, _MOSCOW, work_dir), warehouse, window)

    def whole() -> None:
        ingest()
        build()

    tasks: dict[str, Callable[[], Any]] = {
        "ingest": ingest,
        "build": build,
        "refresh": lambda: build(full_refresh=True),
        "whole": whole,
        "metrics": metrics,
        "copy": lambda: peers.copy(warehouse, files),
        "insert": lambda: peers.insert(warehouse, files),
        "dlt": lambda: peers.dlt_defaults(warehouse, files, work_dir / "dlt"),
        "duckdb": lambda: peers.duckdb_daily_metrics(files),
    }
    began = time.monotonic()
    tasks[name]()
    seconds = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "seconds": seconds,
        "processor": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main()

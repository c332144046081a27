"""Where a benchmark happens: an embedded PostgreSQL of its own, made-up bodies, the API that serves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from embedded import postgres
from ingestion.warehouse import Warehouse
from ingestion.windows import format_instant
from orchestration.settings import NAMES
from tests.bench import bodies
from tests.bench.processes import ROOT, Outcome, run

_KEEP_DAYS = 120


@dataclass
class Place:
    """A folder for everything of one benchmark, its server's databases, and the API's address.

    Days are numbers, counted back from `today` in the report zone: -1 is yesterday.
    """

    folder: Path
    url: str
    per_day: int
    today: date

    @property
    def bodies(self) -> Path:
        """The folder of the bodies."""
        return self.folder / "bodies"

    def database(self, name: str) -> Warehouse:
        """A database of the server, made if need be."""
        return postgres.start(self.folder / "state", database=name)

    def fresh(self, name: str) -> Warehouse:
        """The same, empty."""
        self.drop(name)
        return self.database(name)

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.execute(self.database("postgres"), f'drop database if exists "{name}" with (force)')

    def execute(self, warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement of its own; returns its rows, if it has any."""
        with closing(warehouse.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def prepare(self, days: Iterable[int]) -> list[Path]:
        """Write the bodies of these days that are not there yet; returns the files of all of them."""
        days = list(days)
        missing = [day for day in days if not bodies.path(self.bodies, self.today, day).exists()]
        if missing:
            with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
                for written in [
                    pool.submit(bodies.write, self.bodies, self.today, day, self.per_day) for day in missing
                ]:
                    written.result()
        return [bodies.path(self.bodies, self.today, day) for day in days]

    def prepare_late(self, client: str, day: int, late: int, late_days: int) -> None:
        """Write the body that `client` alone is given for a day: the ordinary one and `late` records of days before."""
        folder = self.bodies / client
        folder.mkdir(exist_ok=True)
        text = bodies.body(self.today, day, self.per_day, late, late_days)
        bodies.path(folder, self.today, day).write_text(text, encoding="utf-8")

    def forget(self, days: Iterable[int]) -> None:
        """Remove the bodies of these days."""
        for day in days:
            bodies.path(self.bodies, self.today, day).unlink(missing_ok=True)

    def grow(self, warehouse: Warehouse, days: range) -> None:
        """Ingest these days, so many at a time that their bodies need little room; nothing is measured."""
        for first in range(days.start, days.stop, _KEEP_DAYS):
            part = range(first, min(first + _KEEP_DAYS, days.stop))
            there = [day for day in part if bodies.path(self.bodies, self.today, day).exists()]
            self.prepare(part)
            self.command(warehouse, "ingest", part)
            self.forget(day for day in part if day not in there)

    def command(
        self,
        warehouse: Warehouse,
        command: str,
        days: range | None = None,
        *options: str,
        profile_imports: bool = False,
    ) -> Outcome:
        """Measure a command of the product as its user types it, over `days`. Raises TaskFailedError.

        With `profile_imports` Python tells each import among the errors.
        """
        window: list[str] = []
        if days is not None:
            window = ["--start", self._text(days.start), "--end", self._text(days.stop)]
        self._settle(warehouse)
        environment = self._settings(warehouse)
        if profile_imports:
            environment["PYTHONPROFILEIMPORTTIME"] = "1"
        return run("bench.product", [command, *window, *options], environment, warehouse)

    def task(self, warehouse: Warehouse, task: str, days: range) -> Outcome:
        """Measure a task of `bench.task` over `days`. Raises TaskFailedError."""
        start, end = (bodies.midnight(self.today, day).isoformat() for day in (days.start, days.stop))
        files = [str(bodies.path(self.bodies, self.today, day)) for day in days]
        arguments = {"start": start, "end": end, "bodies": files}
        self._settle(warehouse)
        return run("bench.task", [task, json.dumps(arguments)], self._settings(warehouse), warehouse)

    def imports(self, warehouse: Warehouse, modules: list[str]) -> Outcome:
        """Import these modules in a process of its own, which tells its `seconds` of processor time as JSON."""
        return run("bench.imports", [json.dumps(modules)], self._settings(warehouse), warehouse)

    def _text(self, day: int) -> str:
        return format_instant(bodies.midnight(self.today, day))

    def _settle(self, warehouse: Warehouse) -> None:
        """Let no measure pay for what the one before left to be written."""
        self.execute(warehouse, "checkpoint")

    def _settings(self, warehouse: Warehouse) -> dict[str, str]:
        own = self.folder / "work" / warehouse.dbname
        own.mkdir(parents=True, exist_ok=True)
        return {
            **{name: value for name, value in os.environ.items() if name not in NAMES},
            "API_URL": self.url,
            "API_CLIENT": warehouse.dbname,
            "API_CLIENT_KEY": "made-up",
            "POSTGRES_HOST": warehouse.host,
            "POSTGRES_PORT": str(warehouse.port),
            "POSTGRES_DB": warehouse.dbname,
            "POSTGRES_USER": warehouse.user,
            "REPORT_TIMEZONE": bodies.ZONE.key,
            "LOG_DIR": str(own / "logs"),
            "OUT_DIR": str(own / "out"),
            "STATE_DIR": str(own / "state"),
        }


@contextmanager
def opened(folder: Path, per_day: int) -> Iterator[Place]:
    """A place in `folder`, which should be new; its server and API end with it."""
    (folder / "bodies").mkdir(parents=True)
    command = [sys.executable, "-m", "bench.server", str(folder / "bodies")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as api:
        try:
            assert api.stdout is not None
            url = f"http://127.0.0.1:{api.stdout.readline().strip()}/api/statistics"
            yield Place(folder, url, per_day, datetime.now(bodies.ZONE).date())
        finally:
            api.kill()
            postgres.stop(folder / "state")

"""Where a benchmark happens: an embedded PostgreSQL, made-up bodies, the API that serves them, a copy of the code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from embedded import postgres
from ingestion.warehouse import Warehouse
from ingestion.windows import format_instant
from orchestration.settings import NAMES
from tests.bench import bodies
from tests.bench.processes import ROOT, Cost, run

# A client of the API that is given clean bodies; to every other client a day is the same.
CLEAN = "clean"
_KEEP_DAYS = 120
_ROOMS = ("ingestion", "orchestration", "embedded", "dbt_project", "tests")


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
    def code(self) -> Path:
        """A copy of the code, which nobody edits meanwhile; without `.env`, so no sheet or mailbox is reached."""
        return self.folder / "code"

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
        """Run a statement in no transaction; returns its rows, if it has any."""
        with closing(warehouse.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def body(self, day: int, client: str = "") -> Path:
        """The file of a day's body: that of one client, or everybody's."""
        return bodies.path(self.folder / "bodies" / client, self.today, day)

    def prepare(self, days: Iterable[int], client: str = "") -> list[Path]:
        """Write the bodies of these days that are not there yet; returns the files of all of them."""
        files = {day: self.body(day, client) for day in days}
        (self.folder / "bodies" / client).mkdir(exist_ok=True)
        clean = client == CLEAN
        with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
            for written in [
                pool.submit(bodies.write, file, self.today, day, self.per_day, clean)
                for day, file in files.items()
                if not file.exists()
            ]:
                written.result()
        return [*files.values()]

    def prepare_late(self, client: str, day: int, late: int, late_days: int) -> None:
        """Write the body that `client` alone is given for a day: the ordinary one and `late` records of days before."""
        file = self.body(day, client)
        file.parent.mkdir(exist_ok=True)
        file.write_text(bodies.body(self.today, day, self.per_day, late, late_days), encoding="utf-8")

    def grow(self, warehouse: Warehouse, days: range) -> None:
        """Ingest these days, so many at a time that their bodies need little room; nothing is measured."""
        for first in range(days.start, days.stop, _KEEP_DAYS):
            part = range(first, min(first + _KEEP_DAYS, days.stop))
            made = [day for day in part if not self.body(day).exists()]
            self.prepare(part)
            self.command(warehouse, "ingest", part)
            for day in made:
                self.body(day).unlink()

    def command(
        self, warehouse: Warehouse, command: str, days: range | None = None, *options: str, client: str = ""
    ) -> Cost:
        """Measure a command of the product as its user types it, over `days`. Raises TaskFailedError."""
        window: list[str] = []
        if days is not None:
            start, end = (format_instant(bodies.midnight(self.today, day)) for day in (days.start, days.stop))
            window = ["--start", start, "--end", end]
        settings = self._settings(warehouse, client)
        return self._run("orchestration", [command, *window, *options], settings, warehouse)

    def peer(self, warehouse: Warehouse, name: str, files: list[Path]) -> Cost:
        """Measure a peer that loads these files. Raises TaskFailedError."""
        arguments = {"warehouse": asdict(warehouse), "bodies": [str(file) for file in files]}
        return self._run("tests.bench.peers", [name, json.dumps(arguments)], os.environ, warehouse)

    def script(self, warehouse: Warehouse, days: range, client: str) -> Cost:
        """Measure the script over `days`. Raises TaskFailedError."""
        start, end = (str(self.today + timedelta(days=day)) for day in (days.start, days.stop))
        # SQLAlchemy would take psycopg 3 unless told otherwise.
        database = warehouse.dlt_url().replace("postgresql:", "postgresql+psycopg2:", 1)
        arguments = [self.url, client, start, end, database]
        return self._run("tests.bench.script", arguments, os.environ, warehouse)

    def _run(self, module: str, arguments: list[str], environment: Any, warehouse: Warehouse) -> Cost:
        # No measure should pay for what the one before left to be written.
        self.execute(warehouse, "checkpoint")
        return run(module, arguments, environment, warehouse, self.code)

    def _settings(self, warehouse: Warehouse, client: str) -> dict[str, str]:
        own = self.folder / "work" / warehouse.dbname
        own.mkdir(parents=True, exist_ok=True)
        return {
            **{name: value for name, value in os.environ.items() if name not in NAMES},
            "API_URL": self.url,
            "API_CLIENT": client or warehouse.dbname,
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
    for room in _ROOMS:
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs", "dbt_packages")
        shutil.copytree(ROOT / room, folder / "code" / room, ignore=ignored)
    command = [sys.executable, "-m", "tests.bench.server", str(folder / "bodies")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as api:
        try:
            assert api.stdout is not None
            url = f"http://127.0.0.1:{api.stdout.readline().strip()}/api/statistics"
            yield Place(folder, url, per_day, datetime.now(bodies.ZONE).date())
        finally:
            api.kill()
            postgres.stop(folder / "state")

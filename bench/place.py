"""Where a benchmark happens: an embedded PostgreSQL of its own, made-up bodies, the API that serves them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import bodies
from embedded import postgres
from ingestion.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cost:
    """What a task took: `seconds` on the clock, `processor` seconds and peak memory of the Python process alone."""

    seconds: float
    processor: float
    peak_mb: float


@dataclass
class Place:
    """A folder for everything of one benchmark, its server's databases, and the API's address."""

    folder: Path
    url: str
    per_day: int
    runs: int = 0

    def database(self, name: str) -> Warehouse:
        """A database of the server, made if need be."""
        return postgres.start(self.folder / "state", database=name)

    def fresh(self, name: str) -> Warehouse:
        """The same, empty."""
        warehouse = self.database("postgres")
        with closing(warehouse.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'drop database if exists "{name}" with (force)')
        return self.database(name)

    def prepare(self, days: range) -> None:
        """Write the bodies of these days that are not there yet."""
        missing = [day for day in days if not self.body(day).exists()]
        for day in missing:
            bodies.write(self.folder / "bodies", range(day, day + 1), self.per_day)

    def body(self, day: int) -> Path:
        """The file of a day's body."""
        return self.folder / "bodies" / f"{bodies.FIRST_DAY.date().fromordinal(_ordinal(day))}.json"

    def run(self, task: str, warehouse: Warehouse, days: range) -> Cost:
        """Run a task in a process of its own. Raises CalledProcessError with its errors on the terminal."""
        self.runs += 1
        arguments = {
            "warehouse": asdict(warehouse),
            "work_dir": str(self.folder / "work" / warehouse.dbname),
            "bodies": str(self.folder / "bodies"),
            "first": days.start,
            "days": len(days),
            "url": self.url,
        }
        command = [sys.executable, "-m", "bench.task", task, json.dumps(arguments)]
        answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        return Cost(**json.loads(answer.stdout.splitlines()[-1]))


def _ordinal(day: int) -> int:
    return bodies.FIRST_DAY.toordinal() + day


@contextmanager
def opened(folder: Path, per_day: int) -> Iterator[Place]:
    """A place in `folder`, which should be new; its server and API end with it."""
    (folder / "bodies").mkdir(parents=True)
    command = [sys.executable, "-m", "bench.server", str(folder / "bodies")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as api:
        try:
            assert api.stdout is not None
            yield Place(folder, f"http://127.0.0.1:{api.stdout.readline().strip()}/api/statistics", per_day)
        finally:
            api.kill()
            postgres.stop(folder / "state")

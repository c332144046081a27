"""Whoever reads the marts while runs go on, are killed and rebuild everything: always whole tables of one build."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import openpyxl
import psycopg2
import pytest

from ingestion.warehouse import Warehouse
from tests.faults.conftest import Scene
from tests.faults.machine import LONG
from tests.faults.report import Tally
from tests.faults.school import WINDOW, difference, marts

RUNS = 40 if LONG else 5
# Figures of each mart that a partial one could not have.
FIGURES = {
    "attempts": "count(*), count(distinct (user_id, task_id)), count(distinct (user_id, activity_date))",
    "rejected_attempts": "count(*), count(distinct rejected_record_id), sum(cardinality(rejection_reasons))",
    "learner_tasks": "count(*), sum(attempts), sum(submits)",
    "daily_metrics": "count(*), sum(attempts), sum(unique_users)",
    "load_receipts": "count(*), sum(accepted), sum(rejected)",
}


@dataclass
class Reader:
    """Polls until it is stopped; what it saw is counted."""

    warehouse: Warehouse
    seen: dict[str, Counter[tuple[int, ...]]] = field(default_factory=lambda: {mart: Counter() for mart in FIGURES})
    looks: int = 0
    mixed: int = 0
    troubles: list[str] = field(default_factory=list)

    def poll(self, stop: threading.Event) -> None:
        with closing(self.warehouse.connect("reader")) as connection:
            while not stop.is_set():
                try:
                    self._look(connection)
                except psycopg2.Error as error:
                    self.troubles.append(str(error))
                    connection.rollback()
                stop.wait(0.01)

    def _look(self, connection: psycopg2.extensions.connection) -> None:
        """Each mart by itself, then all in one transaction that sees one moment."""
        for mart, figures in FIGURES.items():
            with connection, connection.cursor() as cursor:
                cursor.execute(f"select {figures} from marts.{mart}")
                self.seen[mart][tuple(map(int, cursor.fetchall()[0]))] += 1
        with connection, connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            found = {}
            for mart, figures in FIGURES.items():
                cursor.execute(f"select {figures} from marts.{mart}")
                found[mart] = cursor.fetchall()[0]
        attempts, rejected = found["attempts"][0], found["rejected_attempts"][0]
        sums = {attempts, found["learner_tasks"][1], found["daily_metrics"][1], found["load_receipts"][1]}
        self.mixed += len(sums) > 1 or rejected != found["load_receipts"][2]
        self.looks += 1


@contextmanager
def reading(warehouse: Warehouse) -> Iterator[Reader]:
    """A reader that polls as long as the block."""
    reader, stop = Reader(warehouse), threading.Event()
    thread = threading.Thread(target=reader.poll, args=(stop,))
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()


@pytest.mark.timeout(1800)
def test_readers_see_whole_tables_of_one_build(scene: Scene, tally: Tally) -> None:
    rng = random.Random(7)
    scene.put_back("loaded")
    book = scene.clone.path / "out" / "metrics.xlsx"
    assert scene.prepared.run("deliver").code == 0
    before = figures_of(scene.warehouse)
    sheets: Counter[int] = Counter()
    with reading(scene.warehouse) as reader:
        for number in range(RUNS):
            # Every other run rebuilds all from raw; some are killed.
            command = scene.prepared.start(*(("build", "--full-refresh") if number % 2 else ("run", *WINDOW)))
            patience = rng.uniform(1, 9) if number % 3 == 1 else 120
            deadline = time.monotonic() + patience
            while not command.ended.is_set() and time.monotonic() < deadline:
                sheets[openpyxl.load_workbook(book, read_only=True)["Daily metrics"].max_row] += 1
                command.ended.wait(0.1)
            if command.ended.is_set():
                assert command.code == 0, command.output
            command.kill()
        assert scene.prepared.run("run", *WINDOW).code == 0
    after = figures_of(scene.warehouse)
    partial = sum(
        times
        for mart, seen in reader.seen.items()
        for found, times in seen.items()
        if mart != "load_receipts" and found not in (before[mart], after[mart])
    )
    tally.count(
        "a reader's look at every mart",
        reader.looks,
        lost=partial + reader.mixed + len(reader.troubles),
        during_runs=RUNS,
        looks_at_the_workbook=sum(sheets.values()),
    )
    assert reader.troubles == []
    assert reader.looks > 20
    assert reader.mixed == 0
    assert partial == 0, {mart: dict(seen) for mart, seen in reader.seen.items()}
    days = before["daily_metrics"][0]
    assert set(sheets) == {days + 1}
    assert difference(scene.expected["loaded"], marts(scene.warehouse)) == ([], [])


def figures_of(warehouse: Warehouse) -> dict[str, tuple[int, ...]]:
    """The figures of each mart now."""
    with closing(warehouse.connect()) as connection, connection.cursor() as cursor:
        found = {}
        for mart, figures in FIGURES.items():
            cursor.execute(f"select {figures} from marts.{mart}")
            found[mart] = tuple(map(int, cursor.fetchall()[0]))
        return found

"""What the tests of faults share: a database that can be put back to how it was before each fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.clone import Clone
from tests.end_to_end.commands import PreparedProcess
from tests.faults.report import Tally, forget, write_report
from tests.faults.school import WINDOW, later, marts, records
from tests.ingestion.fake_api import FakeApi


@dataclass
class Scene:
    """The prepared process with its database, the grader's API, and the marts that good runs make of its records.

    `expected` are the marts after an undisturbed run on an empty database ('empty'), and after one more when the
    grader has corrected and added records ('loaded').
    """

    prepared: PreparedProcess
    grader: FakeApi
    expected: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def server(self) -> Warehouse:
        return self.prepared.server

    @property
    def warehouse(self) -> Warehouse:
        return self.prepared.warehouse

    @property
    def clone(self) -> Clone:
        return self.prepared.clone

    def administer(self, *statements: str) -> None:
        """Run statements as the server's superuser, outside the database."""
        self.prepared.administer(*statements)

    def put_back(self, state: str) -> None:
        """Make the database empty, or as after one run ('loaded'), with the grader's answers then; forget settings."""
        self.prepared.reset(f"{self.warehouse.dbname}_loaded" if state == "loaded" else "template0")
        self.clone.ask(self.grader)
        self.clone.use(self.warehouse)
        self.grader.records = later(records(1), 2) if state == "loaded" else records(1)
        self.grader.rule = lambda _window, _number: None
        self.grader.windows.clear()
        self.grader.queries.clear()


@pytest.fixture(scope="session")
def scene(prepared: PreparedProcess) -> Iterator[Scene]:
    """The scene, with the database as after one run."""
    loaded = f"{prepared.warehouse.dbname}_loaded"
    with FakeApi().serving() as grader:
        scene = Scene(prepared, grader)
        try:
            for state in ("empty", "loaded"):
                scene.put_back(state)
                done = prepared.run("run", *WINDOW, small_loads=True)
                assert done.code == 0, done.output
                scene.expected[state] = marts(scene.warehouse)
                if state == "empty":
                    scene.administer(f"create database {loaded} template {scene.warehouse.dbname}")
            yield scene
        finally:
            scene.administer(f"drop database if exists {loaded} with (force)")


@pytest.fixture
def tally() -> Tally:
    """Where the test counts what it tried and what came of it."""
    return Tally()


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        forget()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        write_report()

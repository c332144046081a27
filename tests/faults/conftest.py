"""What the tests of faults share: one clone with everything imported, and databases that are made anew for each accident."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.conftest import make_clone
from tests.faults.machine import Nursery
from tests.faults.report import Tally, forget, write_report
from tests.faults.school import WINDOW, later, marts, records
from tests.ingestion.fake_api import FakeApi


@dataclass
class Scene:
    """A database that can be put back to how it was, the grader's API, and what good runs make of it.

    `before` is the grader's first state, `after` a later one; `expected` are the marts after an undisturbed run on an empty
    database and after one more on top of it.
    """

    server: Warehouse
    warehouse: Warehouse
    nursery: Nursery
    grader: FakeApi
    expected: dict[str, dict[str, list[str]]]

    def administer(self, *statements: str) -> None:
        """Run statements as the server's superuser, outside the database."""
        with closing(self.server.connect()) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def put_back(self, state: str) -> None:
        """Make the database empty, or as after one run ('loaded'), with the grader's answers then; forget settings."""
        name = self.warehouse.dbname
        template = f"{name}_loaded" if state == "loaded" else "template0"
        self.administer(
            f"drop database if exists {name} with (force)", f"create database {name} template {template}"
        )
        clone = self.nursery.clone
        clone.settings.clear()
        clone.ask(self.grader)
        clone.use(self.warehouse)
        self.grader.records = later(records(1), 2) if state == "loaded" else records(1)
        self.grader.rule = lambda _window, _number: None
        self.grader.windows.clear()
        self.grader.queries.clear()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """A clone in which commands start at once, for all tests of a worker: each sets what it needs."""
    nursery = Nursery(make_clone(tmp_path_factory.mktemp("faults") / "a clone"))
    try:
        yield nursery
    finally:
        nursery.close()


@pytest.fixture(scope="session")
def scene(server: Warehouse, nursery: Nursery) -> Iterator[Scene]:
    """The scene, with the database as after one run."""
    warehouse = replace(server, dbname=f"faults_{secrets.token_hex(6)}")
    with FakeApi().serving() as grader:
        scene = Scene(server, warehouse, nursery, grader, {})
        try:
            scene.put_back("empty")
            done = nursery.run("run", *WINDOW, small_loads=True)
            assert done.code == 0, done.output
            scene.expected["empty"] = marts(warehouse)
            scene.administer(
                f"create database {warehouse.dbname}_loaded template {warehouse.dbname}",
            )
            scene.put_back("loaded")
            done = nursery.run("run", *WINDOW, small_loads=True)
            assert done.code == 0, done.output
            scene.expected["loaded"] = marts(warehouse)
            yield scene
        finally:
            for name in (warehouse.dbname, f"{warehouse.dbname}_loaded"):
                scene.administer(f"drop database if exists {name} with (force)")


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

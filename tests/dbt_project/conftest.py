"""What the tests of the models share: one database for each worker, emptied for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from dbt_common.behavior_flags import BehaviorFlagRendered

from ingestion.warehouse import Warehouse
from tests.dbt_project.warehouse import Models

pytest.register_assert_rewrite("tests.dbt_project.compare", "tests.dbt_project.compare_analytics")


@pytest.fixture(scope="session", autouse=True)
def _known_source() -> Iterator[None]:
    """At each start dbt walks the stack for every flag's caller, reading source files; pytest's stack
    is so deep that this would take most of the time of these tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt"))
        yield


@pytest.fixture(scope="session")
def _models(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    # dbt reads the whole project anew for every other database: one for all tests saves a second
    # each.
    name = f"models_{secrets.token_hex(6)}"
    with closing(server.connect()) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {name} template template0")
        try:
            yield Models(replace(server, dbname=name), tmp_path_factory.mktemp("state"))
        finally:
            connection.cursor().execute(f"drop database {name} with (force)")


@pytest.fixture
def models(_models: Models) -> Models:
    """An empty warehouse and dbt on it."""
    _models.reset()
    return _models

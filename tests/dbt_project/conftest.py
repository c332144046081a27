"""What the tests of the models share: one database for each worker, emptied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt_common.behavior_flags import BehaviorFlagRendered

from ingestion.warehouse import Warehouse
from orchestration.build import dbt as build_dbt
from tests.conftest import temporary_database
from tests.core_project import leave_out_analytics
from tests.dbt_project.warehouse import Models

pytest.register_assert_rewrite("tests.dbt_project.compare", "tests.dbt_project.compare_analytics")
FULL_PROJECT = build_dbt.PROJECT


@pytest.fixture(scope="session", autouse=True)
def _known_source() -> Iterator[None]:
    """At each start dbt walks the stack for every flag's caller, reading source files; pytest's stack
    is so deep that this would take most of the time of these tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt"))
        yield


@pytest.fixture(scope="session")
def _core_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("core") / "dbt_project"
    shutil.copytree(FULL_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", ".*"))
    leave_out_analytics(project)
    return project


@pytest.fixture(scope="package", autouse=True)
def _core_only(_core_project: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_dbt, "PROJECT", _core_project)
        yield


# dbt reads the whole project anew for every other database: one for all tests saves a second each.
@pytest.fixture(scope="session")
def _models(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with temporary_database(server) as warehouse:
        yield Models(warehouse, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def _all_models(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with temporary_database(server) as warehouse:
        yield Models(warehouse, tmp_path_factory.mktemp("state"))


@pytest.fixture
def models(_models: Models) -> Models:
    """An empty warehouse and dbt on it, with the core of the project."""
    _models.reset()
    return _models


@pytest.fixture
def all_models(_all_models: Models, monkeypatch: pytest.MonkeyPatch) -> Models:
    """An empty warehouse and dbt on it, with the whole project."""
    monkeypatch.setattr(build_dbt, "PROJECT", FULL_PROJECT)
    _all_models.reset()
    return _all_models

"""The models on several machines: on a Citus cluster where TEST_CITUS_URL names the database of a coordinator, which
is emptied; anywhere on one PostgreSQL that stands in for a cluster and refuses what Citus refuses of a table in shards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ingestion.warehouse import Warehouse
from orchestration.build import dbt as build_dbt
from tests.conftest import from_url, temporary_database
from tests.dbt_project.cluster import stand_in
from tests.dbt_project.conftest import FULL_PROJECT
from tests.dbt_project.test_analytics import (  # noqa: F401 - collected here as well, on the warehouse of this module
    test_a_school_equals_the_oracle_and_a_full_refresh,
    test_nights_equal_the_oracle_one_by_one,
)
from tests.dbt_project.test_sequences import (  # noqa: F401
    test_a_build_with_nothing_new_changes_nothing,
    test_loads_one_by_one_equal_the_oracle_and_a_full_refresh,
    test_nothing_at_all_gives_empty_marts,
)
from tests.dbt_project.warehouse import Models

CLUSTER = os.environ.get("TEST_CITUS_URL", "")


@contextmanager
def _cluster(server: Warehouse, kind: str) -> Iterator[Warehouse]:
    if kind == "stand-in":
        with temporary_database(server) as warehouse:
            stand_in(warehouse)
            yield replace(warehouse, distributed=True)
        return
    if not CLUSTER:
        pytest.skip("not run on a cluster: TEST_CITUS_URL names none")
    warehouse = replace(from_url(CLUSTER), distributed=True)
    # One test at a time, whichever worker runs it.
    with warehouse.session("tests", autocommit=True) as cursor:
        cursor.execute("select pg_advisory_lock(4711)")
        yield warehouse


@pytest.fixture(scope="module", params=["stand-in", "cluster"])
def distributed(
    request: pytest.FixtureRequest, server: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Models]:
    with _cluster(server, request.param) as warehouse:
        yield Models(warehouse, tmp_path_factory.mktemp("state"))


@pytest.fixture
def models(distributed: Models, monkeypatch: pytest.MonkeyPatch) -> Models:
    """An empty warehouse on a cluster, and dbt on it, with the whole project."""
    monkeypatch.setattr(build_dbt, "PROJECT", FULL_PROJECT)
    distributed.reset()
    return distributed

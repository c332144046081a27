"""The models on several machines: on a Citus cluster where TEST_CITUS_URL names the database of a coordinator, which
is emptied; anywhere on one PostgreSQL that stands in for a cluster and refuses what Citus refuses of a table in shards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from ingestion import raw
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.build import dbt as build_dbt
from orchestration.build.one_transaction import Cursor
from orchestration.erasure import erasing
from tests.conftest import from_url, temporary_database
from tests.dbt_project import test_analytics as analytics
from tests.dbt_project import test_sequences as sequences
from tests.dbt_project.cluster import SHARDS, stand_in
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.conftest import FULL_PROJECT
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Oracle
from tests.dbt_project.shards import problems
from tests.dbt_project.strategies import EFFORT
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


@pytest.mark.parametrize("seed", range(EFFORT))
def test_loads_one_by_one_equal_the_oracle_and_a_full_refresh(models: Models, seed: int) -> None:
    sequences.test_loads_one_by_one_equal_the_oracle_and_a_full_refresh(models, seed)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(EFFORT))
def test_a_school_equals_the_oracle_and_a_full_refresh(models: Models, seed: int) -> None:
    analytics.test_a_school_equals_the_oracle_and_a_full_refresh(models, seed)


def test_a_build_with_nothing_new_changes_nothing(models: Models) -> None:
    sequences.test_a_build_with_nothing_new_changes_nothing(models)


def test_nothing_at_all_gives_empty_marts(models: Models) -> None:
    sequences.test_nothing_at_all_gives_empty_marts(models)


def _shards(models: Models) -> dict[str, str]:
    """The column of each table that should be in shards."""
    nodes = models.dbt.parse("--no-write-json").nodes.values()
    return {"raw.attempts": "record_no"} | {
        f"{node.schema}.{node.alias}": node.config.meta["distributed_by"]
        for node in nodes
        if "distributed_by" in node.config.meta
    }


def _loaded(models: Models, seed: int, loads: int = 3) -> Oracle:
    grader, oracle = Grader(seed, datetime(2024, 5, 20, tzinfo=timezone.utc)), Oracle()
    for _ in range(loads):
        answers = grader.load()
        oracle.load(models.load(answers), answers)
    return oracle


def test_a_warehouse_that_holds_data_is_distributed_by_the_next_run(models: Models) -> None:
    models.execute("drop schema raw cascade")
    there = models.warehouse
    try:
        models.warehouse = replace(there, distributed=False)
        models.reset()
        oracle = _loaded(models, 5)
        models.build()
        assert_as_contracted(models, oracle)
        assert models.rows(SHARDS) == []
    finally:
        models.warehouse = there
    raw.prepare(there)
    assert models.build().rebuilt
    assert_as_contracted(models, oracle)
    assert {row["logicalrelid"] for row in models.rows(SHARDS)} == _shards(models).keys()
    assert not models.build().rebuilt

    with pytest.raises(WarehouseError, match=r"raw\.attempts is kept on several machines.*WAREHOUSE_DISTRIBUTED=1"):
        raw.prepare(replace(there, distributed=False))


def test_a_forgotten_learner_leaves_every_shard(models: Models) -> None:
    _loaded(models, 6)
    models.build()
    [learner] = models.rows("select user_id from marts.attempts group by 1 order by count(*) desc limit 1")
    with erasing(models.warehouse, learner["user_id"]) as erasure:
        removed = erasure.remove()
    assert all(removed[table] for table in ("raw.attempts", "marts.attempts", "marts.learner_tasks"))
    models.build()
    models.build(full_refresh=True)
    for table in ("marts.attempts", "marts.learner_tasks", "learners.learner_courses"):
        assert models.rows(f"select user_id from {table} where user_id = %s", [learner["user_id"]]) == []


def test_statements_stay_within_the_shards(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Citus refuses little and answers the rest by gathering whole tables, so what it is sent is read here."""
    shards = _shards(models)
    sent: list[str] = []

    def execute(self: Cursor, query: Any, values: Any = None) -> None:
        sent.append(re.sub(r"/\*.*?\*/", "", query if isinstance(query, str) else query.as_string(self), flags=re.S))
        plain(self, query, values)

    plain = Cursor.execute
    monkeypatch.setattr(Cursor, "execute", execute)
    _loaded(models, 7)
    found: list[str] = []
    for full_refresh in (False, False, True):
        build = models.build(full_refresh)
        for result in build.results:
            compiled = getattr(result.node, "compiled_code", None) or ""
            if str(result.node.resource_type) in ("model", "test", "snapshot"):
                found += [f"{result.node.name}: {problem}" for problem in problems(compiled, shards)]
        _loaded(models, 8, loads=1)
    assert not found, "\n".join(found)

    names = {name.replace(".", '"."') for name in shards}
    for statement in sent:
        written = re.search(r"\b(?:merge into|delete from|insert into)\s+(?:\"\w+\"\.)?\"(\w+\"\.\"\w+)\"", statement)
        if written is None or written[1] not in names:
            continue
        assert not re.search(r"\busing\s+\"\w+__dbt_tmp", statement), f"merges with a temporary table: {statement}"
        commands = [command for command in statement.split(";") if command.strip()]
        # What creates a table also fills it; only afterwards it is put into shards.
        assert len(commands) == 1 or "create" in commands[0], f"several commands in one statement: {statement}"


def test_keys_hold_the_column_of_the_shards(models: Models) -> None:
    for node in models.dbt.parse("--no-write-json").nodes.values():
        if by := node.config.meta.get("distributed_by"):
            assert node.config.unique_key is None or by in node.config.unique_key, node.name
            assert all(by in index["columns"] for index in node.config.get("indexes") if index.get("unique")), node.name

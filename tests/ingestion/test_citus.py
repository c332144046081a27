"""What is asked of a Citus cluster before anything is put into shards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingestion import citus, raw
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.commands.check import probe_warehouse
from tests.dbt_project.cluster import SHARDS, stand_in


def test_a_plain_postgres_is_no_cluster(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"no extension citus\. What to do: .*or set it to 0"):
        raw.prepare(replace(warehouse, distributed=True))
    # Nothing was begun, and without the setting all is well.
    assert not raw.is_there(warehouse)
    raw.prepare(warehouse)
    with pytest.raises(WarehouseError, match="no extension citus"):
        probe_warehouse(replace(warehouse, distributed=True))
    assert "Citus" not in probe_warehouse(warehouse)


def test_a_coordinator_needs_workers(warehouse: Warehouse) -> None:
    stand_in(warehouse)
    with warehouse.session() as cursor:
        cursor.execute(
            "create or replace function citus_get_active_worker_nodes()"
            " returns table (node_name text, node_port bigint)"
            " language sql as $$ select 'none', 1::bigint where false $$"
        )
    with pytest.raises(WarehouseError, match=r"no active worker.*citus_add_node"):
        raw.prepare(replace(warehouse, distributed=True))


def test_raw_is_put_into_shards_once(warehouse: Warehouse) -> None:
    stand_in(warehouse)
    cluster = replace(warehouse, distributed=True)
    for _ in range(2):
        raw.prepare(cluster)
        assert warehouse.query(SHARDS) == [("raw.attempts",)]
    assert "Citus stand-in with 2 workers" in probe_warehouse(cluster)
    with warehouse.session() as cursor:
        assert citus.is_distributed(cursor, "raw.attempts")
        assert not citus.is_distributed(cursor, "raw.fetches")
    with pytest.raises(WarehouseError, match=r"set WAREHOUSE_DISTRIBUTED=1"):
        raw.prepare(warehouse)

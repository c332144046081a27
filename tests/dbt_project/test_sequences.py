"""Any sequence of loads: incremental marts = an independent computation = a rebuild, column by
column.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingestion import raw
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.strategies import EFFORT
from tests.dbt_project.warehouse import Models

_ZONES = ("Europe/Moscow", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
_LOADS = 4


@pytest.mark.parametrize("seed", range(3 * EFFORT))
def test_loads_one_by_one_equal_the_oracle_and_a_full_refresh(models: Models, seed: int) -> None:
    zone = ZoneInfo(_ZONES[seed % len(_ZONES)])
    models.reset(zone)
    # Both changes of New York's clocks lie within the days before one of these.
    grader = Grader(seed, datetime(2024, [4, 11][seed % 2], 20, 9, 30, tzinfo=timezone.utc))
    oracle = Oracle()
    for _ in range(_LOADS):
        # What an interrupted ingest left behind stays, or is removed by the next one.
        models.load(grader.load(), finished=False)
        if grader.rng.random() < 0.5:
            raw.prepare(models.warehouse)
        for _ in range(grader.rng.choice([1, 1, 2])):
            answers = grader.load()
            oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)
    incremental = _without_record_no(models)
    models.build(full_refresh=True)
    assert_as_contracted(models, oracle)
    rebuilt = _without_record_no(models)
    for table, rows in incremental.items():
        assert rows == rebuilt[table], table


def test_a_build_with_nothing_new_changes_nothing(models: Models) -> None:
    grader, oracle = Grader(99, datetime(2024, 5, 20, tzinfo=timezone.utc)), Oracle()
    answers = [*grader.load(), *grader.load(), *grader.load()]
    oracle.load(models.load(answers), answers)
    models.build()
    kept = models.everything()
    models.build()
    assert models.everything() == kept
    # Neither does a load that brought nothing; it has its receipt all the same.
    oracle.load(models.load([]), [])
    models.build()
    assert_as_contracted(models, oracle)


def test_nothing_at_all_gives_empty_marts(models: Models) -> None:
    models.build()
    assert_as_contracted(models, Oracle())
    models.load([Answer(datetime(2024, 5, 20, tzinfo=timezone.utc), [{}])], finished=False)
    models.build()
    assert_as_contracted(models, Oracle())


def _without_record_no(models: Models) -> dict[str, list[dict[str, Any]]]:
    """Every row and column but one: a record that repeats an attempt as it is known counts in a
    rebuild only.
    """
    return {
        table: [{name: value for name, value in row.items() if name != "record_no"} for row in rows]
        for table, rows in models.everything().items()
    }

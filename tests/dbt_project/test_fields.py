"""Records whose fields change: the build goes on, and warns when it is more than some dirt."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import SOURCEDID
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 5, 20, 12, tzinfo=timezone.utc)
TEST = "raw_attempts_have_the_known_fields"


@pytest.mark.parametrize(
    ("of_100", "added", "removed", "differences"),
    [
        (0, {}, "", 0),
        (5, {"score": None}, "", 0),
        (6, {"score": None}, "", 1),
        (5, {}, "is_correct", 0),
        (6, {}, "is_correct", 1),
        (6, {"result": 1, "lang": "py"}, "is_correct", 3),
    ],
)
def test_a_field_that_more_than_a_few_new_records_add_or_lack_gives_a_warning(
    models: Models, of_100: int, added: dict[str, Any], removed: str, differences: int
) -> None:
    models.load([Answer(NOW, [_record(n, added, removed) if n < of_100 else _record(n) for n in range(100)])])
    # `dbt test` looks at every record, and needs no build to look at raw ones.
    run = models.dbt._invoke(["test", "--select", TEST]).result
    (result,) = [result for result in run.results if result.node.name == TEST]
    assert (result.failures or 0) == differences


def test_only_new_records_are_looked_at_and_only_when_they_are_many(models: Models) -> None:
    models.load([Answer(NOW, [_record(n, {"score": 1}) for n in range(100)])])
    assert _differences(models) == 1
    models.load([Answer(NOW, [_record(n) for n in range(100, 200)])])
    assert _differences(models) == 0
    models.load([Answer(NOW, [_record(n, {"score": 1}) for n in range(200, 299)])])
    assert _differences(models) == 0


def test_the_warning_names_the_field(models: Models) -> None:
    models.load([Answer(NOW, [_record(n, {"score": 1}) for n in range(100)])])
    (warning,) = [result for result in models.build().tests.results if result.name == TEST]
    assert warning.status == "warn"
    (row,) = warning.sample
    assert "score" in row
    assert "new" in row


def test_what_is_no_object_has_no_fields(models: Models) -> None:
    models.load([Answer(NOW, [*(_record(n) for n in range(100)), *([] for _ in range(100))])])
    assert _differences(models) == 0


def _record(number: int, added: dict[str, Any] | None = None, removed: str = "") -> dict[str, Any]:
    record = {
        "lti_user_id": "anna",
        "passback_params": repr({SOURCEDID: "c:h-b:l"}),
        "is_correct": None,
        "attempt_type": "run",
        "created_at": f"{NOW - timedelta(seconds=number + 1):%Y-%m-%d %H:%M:%S}",
        **(added or {}),
    }
    record.pop(removed, None)
    return record


def _differences(models: Models) -> int:
    """How many fields the test of the next build names."""
    return sum(result.failures for result in models.build().tests.results if result.name == TEST)

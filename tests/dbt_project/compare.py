"""What the warehouse holds against what the oracle says it must hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.dbt_project.oracle import Metrics, Oracle
from tests.dbt_project.warehouse import Models

_FIELDS = (
    "user_id",
    "oauth_consumer_key",
    "lis_result_sourcedid",
    "lis_outcome_service_url",
    "is_correct",
    "attempt_type",
    "created_at",
)
_FIELD_COLUMNS = ", ".join(_FIELDS)
_TASK_COLUMNS = (
    "user_id, course_key, block_id, attempts, submits, first_attempt_at, last_attempt_at, first_correct_at, "
    "attempts_to_first_correct"
)


def assert_as_contracted(models: Models, oracle: Oracle) -> None:
    """Fail unless staging and every mart hold what the oracle computed."""
    assert_staged(models, oracle)
    assert _attempts(models) == _expected_attempts(oracle, models.zone)
    assert _rejected(models) == oracle.rejected
    tasks = models.rows(f"select {_TASK_COLUMNS} from marts.learner_tasks")
    assert _sorted(tasks) == _sorted(task.row() for task in oracle.learner_tasks().values())
    assert_days(models, oracle)
    receipts = models.rows("select _dlt_load_id, fetched, accepted, repeated, rejected from marts.load_receipts")
    assert len(receipts) == len(oracle.receipts)
    assert {receipt.pop("_dlt_load_id"): receipt for receipt in receipts} == oracle.receipts


def assert_staged(models: Models, oracle: Oracle) -> None:
    rows = models.rows(
        f"select _dlt_load_id, is_valid, rejection_reasons, {_FIELD_COLUMNS} "
        "from staging.stg_grader__attempts order by record_no"
    )
    expected = [
        {
            "_dlt_load_id": load_id,
            "is_valid": not judged.reasons,
            "rejection_reasons": list(judged.reasons),
            **{name: getattr(judged, name) for name in _FIELDS},
        }
        for load_id, judged in oracle.staged
    ]
    for found, right in zip(rows, expected, strict=True):
        assert found == right


def assert_days(models: Models, oracle: Oracle) -> None:
    days = {row.pop("activity_date"): row for row in models.rows("select * from marts.daily_metrics")}
    expected = oracle.daily_metrics(models.zone)
    assert sorted(days) == sorted(expected)
    for day, right in expected.items():
        assert_metrics(days[day], right, day)


def assert_metrics(found: Mapping[str, Any], expected: Metrics, what: date | str = "") -> None:
    """Counts must be equal, ratios equal to 14 digits; further columns don't matter."""
    wrong = {name: (found[name], right) for name, right in expected.items() if not _same_figure(found[name], right)}
    assert not wrong, f"{what}: {wrong}"


def _same_figure(found: Decimal | float | int | None, right: int | Fraction | None) -> bool:
    if found is None or right is None:
        return found is right
    if isinstance(right, int):
        return found == right
    return abs(Fraction(found) - right) <= abs(right) / 10**14


def _attempts(models: Models) -> list[dict[str, Any]]:
    rows = models.rows(f"select attempt_id, {_FIELD_COLUMNS}, activity_date, course_key, block_id from marts.attempts")
    assert len({row.pop("attempt_id") for row in rows}) == len(rows)
    return _sorted(rows)


def _expected_attempts(oracle: Oracle, zone: ZoneInfo) -> list[dict[str, Any]]:
    return _sorted(
        {
            **{name: getattr(attempt.values, name) for name in _FIELDS},
            "activity_date": attempt.day(zone),
            "course_key": attempt.course_key,
            "block_id": attempt.block_id,
        }
        for attempt in oracle.attempts.values()
    )


def _rejected(models: Models) -> dict[str, dict[str, Any]]:
    rows = models.rows("select record, rejection_reasons, first_seen_at from marts.rejected_attempts")
    by_content = {json.dumps(row["record"], sort_keys=True): row for row in rows}
    assert len(by_content) == len(rows)
    return by_content


def _sorted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=repr)

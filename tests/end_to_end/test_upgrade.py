"""A warehouse of an earlier version: the next run rebuilds the marts from raw, and goes on from there."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ingestion.warehouse import Warehouse
from tests.end_to_end.clone import Clone, rows
from tests.ingestion.fake_api import FakeApi, attempts

# What version 2 of the rules kept of 627 records of the demo's, in two loads; made by pg_dump.
DUMP = Path(__file__).parent / "fixtures" / "warehouse_rules_2.sql.gz"
# Columns whose meaning did not change.
MARTS = {
    "attempts": "attempt_id, user_id, oauth_consumer_key, lis_result_sourcedid, lis_outcome_service_url, is_correct,"
    " attempt_type, created_at, activity_date, course_key, block_id, first_record_no",
    "rejected_attempts": "rejected_record_id, record, rejection_reasons, first_seen_at",
    "learner_tasks": "user_id, course_key, block_id, unsplit_sourcedid, attempts, runs, submits, first_attempt_at,"
    " last_attempt_at, first_correct_at, first_correct_date, attempts_to_first_correct",
    "daily_metrics": "activity_date, attempts, runs, submits, graded_submits, correct_submits, success_rate,"
    " unique_users, attempts_per_user, users_without_correct, avg_attempts_to_first_correct, new_users,"
    " unique_users_7d, unique_users_30d",
    "load_receipts": "_dlt_load_id, fetched, accepted, repeated, rejected, rejected_by_reason",
}


def marts(warehouse: Warehouse) -> dict[str, list[str]]:
    return {
        mart: sorted(str(row) for row in rows(warehouse, f"select {columns} from marts.{mart}"))
        for mart, columns in MARTS.items()
    }


@pytest.fixture
def upgraded(warehouse: Warehouse) -> Warehouse:
    with warehouse.session() as cursor:
        cursor.execute(gzip.decompress(DUMP.read_bytes()).decode())
    return warehouse


def test_the_next_run_rebuilds_the_marts_and_adds_to_them(clone: Clone, upgraded: Warehouse, grader: FakeApi) -> None:
    before = marts(upgraded)
    assert len(before["attempts"]) == 530
    clone.use(upgraded)
    clone.ask(grader)
    done = clone.elt("build")
    assert done.returncode == 0, done.stderr
    assert "rebuilding from raw: the rules are version" in clone.log
    assert marts(upgraded) == before
    assert rows(upgraded, "select to_regclass('staging.int_learner_days')") == [(None,)]
    assert rows(upgraded, "select as_of_day::text, history_from from marts.as_of") == [
        ("2026-11-20", datetime(2026, 11, 16, 21, tzinfo=timezone.utc))
    ]

    grader.records = attempts("2026-11-21 09:00:00", 7, timedelta(minutes=1))
    done = clone.elt("run", "--start", "2026-11-20 21:00:00", "--end", "2026-11-21 21:00:00")
    assert done.returncode == 0, done.stderr
    assert clone.log.count("rebuilding from raw") == 1
    after = marts(upgraded)
    assert len(after["attempts"]) == 537
    assert {row for mart in ("attempts", "load_receipts") for row in before[mart]} <= {
        row for mart in ("attempts", "load_receipts") for row in after[mart]
    }

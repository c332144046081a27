"""Calendar days of the report zone: where one ends and the next begins, and what happens when the
zone is changed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.oracle_rules import SOURCEDID
from tests.dbt_project.warehouse import Models

UTC = timezone.utc
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def _attempt(moment: str, user: str = "anna", task: str = "c:h-b:l", **fields: Any) -> dict[str, Any]:
    params = repr({SOURCEDID: task})
    return {
        "lti_user_id": user,
        "passback_params": params,
        "attempt_type": "run",
        "created_at": moment,
    } | fields


# An instant in UTC and its day; the microsecond before belongs to the day before.
@pytest.mark.parametrize(
    ("zone", "midnights"),
    [
        (
            "Europe/Moscow",
            {
                "2024-03-09 21:00:00": "2024-03-10",
                "2014-10-25 20:00:00": "2014-10-26",
                "2014-10-26 21:00:00": "2014-10-27",
            },
        ),
        (
            "America/New_York",
            {
                "2024-03-10 05:00:00": "2024-03-10",
                "2024-03-11 04:00:00": "2024-03-11",
                "2024-11-03 04:00:00": "2024-11-03",
                "2024-11-04 05:00:00": "2024-11-04",
            },
        ),
        ("Asia/Kolkata", {"2024-03-09 18:30:00": "2024-03-10", "2024-12-31 18:30:00": "2025-01-01"}),
    ],
)
def test_a_day_begins_at_local_midnight(models: Models, zone: str, midnights: dict[str, str]) -> None:
    models.reset(ZoneInfo(zone))
    expected = {}
    records = []
    for midnight, day in midnights.items():
        first = datetime.fromisoformat(f"{midnight}+00:00")
        last = first - timedelta(microseconds=1)
        for moment, on in (
            (first, date.fromisoformat(day)),
            (last, date.fromisoformat(day) - timedelta(days=1)),
        ):
            records.append(_attempt(moment.strftime("%Y-%m-%d %H:%M:%S.%f")))
            expected[moment] = on
    oracle = Oracle()
    answers = [Answer(NOW, records)]
    oracle.load(models.load(answers), answers)
    models.build()
    rows = models.rows("select created_at, activity_date from marts.attempts")
    found = {
        datetime.fromtimestamp(0, UTC) + timedelta(microseconds=row["created_at"]): row["activity_date"] for row in rows
    }
    assert found == expected
    assert_as_contracted(models, oracle)


def test_a_changed_zone_shows_in_every_day(models: Models) -> None:
    grader, oracle = Grader(7, datetime(2024, 3, 20, tzinfo=UTC)), Oracle()
    found = []
    for zone in ("Europe/Moscow", "America/New_York"):
        models.zone = ZoneInfo(zone)
        answers = grader.load() + grader.load()
        oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)
        found.append(models.rows("select created_at, activity_date from marts.attempts order by created_at"))
    # Without anything new to load the change shows as well.
    models.zone = ZoneInfo("Asia/Kolkata")
    models.build()
    assert_as_contracted(models, oracle)
    days = models.rows("select created_at, activity_date from marts.attempts order by created_at")
    assert days != found[-1]


def test_rolling_users_over_gaps_and_late_arrivals(models: Models) -> None:
    loads = [
        [_attempt("2024-06-30 12:00:00", "a"), _attempt("2024-09-15 12:00:00", "a")],
        # A learner gets an earlier first day; the old one is no longer new on theirs.
        [_attempt("2024-07-29 12:00:00", "b"), _attempt("2024-06-30 13:00:00", "b")],
        # Days before the first and after the last one.
        [_attempt("2024-05-01 12:00:00", "a"), _attempt("2024-11-20 12:00:00", "c")],
        # A day inside a gap longer than the longest look-back.
        [_attempt("2024-10-18 12:00:00", "c")],
    ]
    oracle = Oracle()
    for number, records in enumerate(loads):
        answers = [Answer(NOW + timedelta(days=number), records)]
        oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)


def test_a_corrected_verdict_moves_the_first_correct_submit(models: Models) -> None:
    def submit(day: int, verdict: int | None) -> dict[str, Any]:
        return _attempt(f"2024-06-{day:02} 12:00:00", attempt_type="submit", is_correct=verdict)

    loads = [
        [_attempt("2024-06-01 11:00:00"), submit(2, 0), submit(5, 1), submit(9, 1)],
        [submit(5, 0)],
        [submit(2, 1), submit(9, None)],
        [submit(2, 0), submit(2, 1), submit(2, 0)],
        [submit(5, 1), _attempt("2024-06-03 11:00:00"), submit(9, 1)],
    ]
    firsts = [5, 9, 2, None, 5]
    oracle = Oracle()
    for number, (records, first) in enumerate(zip(loads, firsts, strict=True)):
        answers = [Answer(NOW + timedelta(days=number), records)]
        oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)
        (row,) = models.rows(
            "select extract(day from first_correct_at at time zone 'UTC')::int as day from marts.learner_tasks"
        )
        assert row["day"] == first

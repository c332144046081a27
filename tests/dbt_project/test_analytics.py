"""Every mart of the analytics after any sequence of loads: incremental = an independent computation = a rebuild,
column by column.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestration.build import dbt as transform
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.compare_analytics import assert_analytics
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.school import FIRST_LOADED, LAST_NIGHT, School
from tests.dbt_project.strategies import EFFORT
from tests.dbt_project.warehouse import MOSCOW, Models

_ZONES = ("Europe/Moscow", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
# Clocks change within some of the schools' thirty weeks.
_FIRST_DAYS = (date(2024, 4, 3), date(2024, 8, 15), date(2023, 12, 30))


@pytest.fixture
def models(all_models: Models) -> Models:
    return all_models


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3 * EFFORT))
def test_a_school_equals_the_oracle_and_a_full_refresh(models: Models, seed: int) -> None:
    zone = ZoneInfo(_ZONES[seed % len(_ZONES)])
    models.reset(zone)
    oracle = Oracle()
    for loads in School(seed, zone, _FIRST_DAYS[seed % len(_FIRST_DAYS)]).builds():
        for answers in loads:
            oracle.load(models.load(answers), answers)
        models.load([_interrupted(loads[-1])], finished=False)
        _build(models, oracle)
    # Neither another build of the same nor a rebuild changes anything.
    kept = _marts(models)
    for full_refresh in (False, True) if seed == 0 else (True,):
        _build(models, oracle, full_refresh)
        for name, rows in _marts(models).items():
            assert rows == kept[name], name


@pytest.mark.timeout(900)
def test_nights_equal_the_oracle_one_by_one(models: Models) -> None:
    """Where nothing is corrected but what a night says: corrections of old days, of which a school has many, let marts
    be computed from those days on.
    """
    school = School(11, MOSCOW, _FIRST_DAYS[0])
    # The two days after are a Saturday and a Sunday.
    first = LAST_NIGHT - 11
    nights = [
        school.plain(FIRST_LOADED, first),
        school.plain(first, first + 1),
        # Days of which nothing has come yet.
        school.silence(first + 1, first + 3),
        school.plain(first + 1, first + 4),
        school.plain(first + 4, first + 5, school.made_on(first - 10)),
        school.plain(first + 5, first + 6),
        # History begins earlier than it did, and nothing new came of it.
        school.silence(FIRST_LOADED - 20, FIRST_LOADED),
        school.plain(first + 6, first + 7),
        school.plain(first + 7, first + 8),
        # Weeks pass.
        school.silence(first + 8, first + 40),
    ]
    # An answer covers no more than the time before it.
    nights[-1] = replace(nights[-1], fetched_at=nights[-1].fetched_at + timedelta(days=40))
    oracle = Oracle()
    for answer in nights:
        oracle.load(models.load([answer]), [answer])
        _build(models, oracle)
    kept = _marts(models)
    _build(models, oracle, full_refresh=True)
    for name, rows in _marts(models).items():
        assert rows == kept[name], name


@pytest.mark.parametrize("seed", range(100, 100 + EFFORT))
def test_awkward_records_equal_the_oracle_in_another_zone_too(models: Models, seed: int) -> None:
    grader = Grader(seed, datetime(2024, 11, 20, 9, 30, tzinfo=timezone.utc))
    oracle = Oracle()
    for zone in ("Europe/Moscow", "America/New_York", "Europe/Moscow"):
        models.zone = ZoneInfo(zone)
        for _ in range(3):
            answers = grader.load()
            oracle.load(models.load(answers), answers)
        _build(models, oracle)
    # Days of another zone are revised where they really differ, by a build without anything new, too.
    models.zone = ZoneInfo("Pacific/Auckland")
    _build(models, oracle)


def test_excluded_learners_count_nowhere(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(transform.PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", ".*"))
    monkeypatch.setattr(transform, "PROJECT", project)
    (seed,) = project.rglob("excluded_learners.csv")
    oracle = Oracle()
    loaded = School(7, MOSCOW, _FIRST_DAYS[0]).builds()
    # "anna " is somebody else.
    for excluded in (set[str](), {"anna", 'o\'neil "x"', "learner-3", "guest-b7-1"}, {"learner-3", "learner-4"}):
        oracle.excluded = excluded
        with seed.open("w", newline="") as file:
            csv.writer(file).writerows([("user_id", "reason"), *((user_id, "a test") for user_id in sorted(excluded))])
        for answers in next(loaded):
            oracle.load(models.load(answers), answers)
        _build(models, oracle)


def test_nothing_at_all_gives_marts_without_figures(models: Models) -> None:
    models.zone = MOSCOW
    oracle = Oracle()
    _build(models, oracle)
    answers = [Answer(datetime(2024, 5, 20, tzinfo=timezone.utc), [{}])]
    oracle.load(models.load(answers), answers)
    _build(models, oracle)


def test_a_late_attempt_judges_a_monday_anew_that_was_judged_before(models: Models) -> None:
    """Two weeks after a Monday it is judged; an attempt that comes late for its last days changes that."""
    monday, oracle = date(2024, 5, 6), Oracle()

    def attempt(day: date, learner: str) -> dict[str, object]:
        return {
            "lti_user_id": learner,
            "passback_params": repr({"lis_result_sourcedid": f"c:host-b:{learner}"}),
            "attempt_type": "run",
            "is_correct": None,
            "created_at": f"{day} 10:00:00",
        }

    def night(number: int, records: list[dict[str, object]]) -> None:
        fetched_at = datetime(2024, 5, 26, 3, tzinfo=timezone.utc) + timedelta(days=number)
        # the first covers all weeks before
        began = fetched_at - timedelta(days=1 if number else 120)
        answers = [Answer(fetched_at, records, (began, fetched_at))]
        oracle.load(models.load(answers), answers)
        _build(models, oracle)

    night(0, [attempt(monday - timedelta(days=10), name) for name in ("ann", "bob")])
    judged = "select vanished from marts.warning_scorecard where week_start = %s and course_key = 'c'"
    assert models.rows(judged, (monday,)) == [{"vanished": 2}]
    night(1, [attempt(date(2024, 5, 26), "eve")])
    night(2, [attempt(monday + timedelta(days=12), "ann")])
    assert models.rows(judged, (monday,)) == [{"vanished": 1}]


def _build(models: Models, oracle: Oracle, full_refresh: bool = False) -> None:
    models.build(full_refresh)
    oracle.build(models.zone)
    assert_as_contracted(models, oracle)
    assert_analytics(models, oracle)


def _interrupted(answers: Sequence[Answer]) -> Answer:
    """What counts for nothing, neither as records nor as days covered."""
    later = answers[-1].fetched_at + timedelta(days=3)
    return Answer(later, answers[-1].records, (later - timedelta(days=900), later))


def _marts(models: Models) -> dict[str, list[str]]:
    """Every table that is published, but for the numbers of records: one that repeats an attempt as it is known
    counts in a rebuild only.
    """
    names = models.rows(
        "select format('%I.%I', table_schema, table_name) as name from information_schema.tables "
        "where table_schema in ('marts', 'learners') order by name"
    )
    return {row["name"]: sorted(map(_without_record_no, models.rows(f"select * from {row['name']}"))) for row in names}


def _without_record_no(row: dict[str, Any]) -> str:
    return repr({name: value for name, value in row.items() if name != "record_no"})

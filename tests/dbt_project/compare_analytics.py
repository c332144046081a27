"""The marts of the analytics against what the oracle says they must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from psycopg2.errors import UndefinedTable

from tests.dbt_project import oracle_activity as activity
from tests.dbt_project import oracle_learning as learning
from tests.dbt_project.oracle import Oracle
from tests.dbt_project.oracle_terms import History, Row, Task
from tests.dbt_project.warehouse import Models

_SHOWN = 12


class Mart(NamedTuple):
    """A mart's key and what it must hold."""

    key: tuple[str, ...]
    rows: Callable[[History], list[Row]]


MARTS: dict[str, Mart] = {
    "marts.as_of": Mart((), activity.as_of),
    "marts.learner_tasks": Mart(("user_id", "task_id"), learning.learner_tasks),
    "marts.tasks": Mart(("task_id",), learning.tasks),
    "learners.learner_courses": Mart(("user_id", "course_key"), learning.learner_courses),
    "marts.courses": Mart(("course_key",), learning.courses),
    "marts.weekly_metrics": Mart(("week_start",), activity.weekly_metrics),
    "marts.monthly_metrics": Mart(("month_start",), activity.monthly_metrics),
    "marts.course_daily_metrics": Mart(("course_key", "activity_date"), activity.course_daily_metrics),
    "marts.course_weekly_metrics": Mart(("course_key", "week_start"), activity.course_weekly_metrics),
    "marts.activity_hours": Mart(("weekday", "hour"), activity.activity_hours),
    "marts.daily_movers": Mart(("dimension", "key"), activity.daily_movers),
    "marts.daily_verdicts": Mart(("activity_date", "metric"), activity.daily_verdicts),
    "marts.task_incidents": Mart(("task_id",), learning.task_incidents),
    "marts.warning_scorecard": Mart(("week_start", "course_key"), learning.warning_scorecard),
    "marts.task_runs": Mart(("organisation", "course", "block_id", "run"), learning.task_runs),
    "marts.course_path": Mart(("course_key", "task_id"), learning.course_path),
    "marts.cohort_retention": Mart(("cohort_week", "weeks_since"), learning.cohort_retention),
}


def assert_analytics(models: Models, oracle: Oracle) -> None:
    """Fail unless every mart holds what the oracle computed; further columns don't matter."""
    history = History(oracle, models.zone, task_ids(models))
    wrong = [difference for name, mart in MARTS.items() for difference in _wrong_mart(models, name, mart, history)]
    wrong += _wrong_revisions(models, oracle)
    wrong += _wrong_exclusions(models, oracle)
    assert not wrong, "\n".join(["", *wrong])


def task_ids(models: Models) -> dict[Task, str]:
    """The warehouse's id of each task; each task has one, and no two have the same."""
    rows = models.rows("select distinct task_id, course_key, block_id, unsplit_sourcedid from marts.learner_tasks")
    ids = {(row["course_key"], row["block_id"], row["unsplit_sourcedid"]): row["task_id"] for row in rows}
    assert len(rows) == len(ids) == len(set(ids.values())), "a task has several ids, or an id several tasks"
    return ids


def _wrong_mart(models: Models, name: str, mart: Mart, history: History) -> list[str]:
    found = _rows(models, name)
    return [f"{name}: is not there"] if found is None else differences(name, mart.key, found, mart.rows(history))


def _rows(models: Models, name: str) -> list[Row] | None:
    try:
        return models.rows(f"select * from {name}")
    except UndefinedTable:
        return None


def differences(mart: str, key: tuple[str, ...], found: Iterable[Row], expected: Iterable[Row]) -> list[str]:
    """What is wrong in a mart: some of it, the mart, the row, the column, found and expected told."""
    found, expected = list(found), list(expected)
    found_rows = {tuple(row[name] for name in key): row for row in found}
    expected_rows = {tuple(row[name] for name in key): row for row in expected}
    assert len(expected_rows) == len(expected), f"the oracle's {mart} has two rows of one key"
    wrong = [f"{mart}: {len(found)} rows of {len(found_rows)} keys"] if len(found_rows) != len(found) else []
    wrong += [f"{mart} {row}: is not there" for row in expected_rows if row not in found_rows]
    wrong += [f"{mart} {row}: should not be there" for row in found_rows if row not in expected_rows]
    missing = {name for row in expected[:1] for name in row if any(name not in columns for columns in found[:1])}
    wrong += [f"{mart}: has no column {name}" for name in sorted(missing)]
    for row, columns in expected_rows.items():
        if row in found_rows:
            wrong += [f"{mart} {row}: {text}" for text in _wrong_columns(found_rows[row], columns)]
    more = [f"{mart}: and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
    return [*wrong[:_SHOWN], *more]


def _wrong_columns(found: Mapping[str, Any], expected: Row) -> list[str]:
    return [
        f"{name} is {found[name]!r}, expected {_shown(right)}"
        for name, right in expected.items()
        if name in found and not same(found[name], right)
    ]


def _shown(value: object) -> str:
    return f"{value} = {float(value)!r}" if isinstance(value, Fraction) else repr(value)


def same(found: Any, expected: Any) -> bool:
    """Exact figures to 14 digits, floating-point ones to 9; everything else as it is."""
    if expected is None or found is None:
        return found is expected
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(same(one, right) for one, right in zip(found, expected, strict=True))
        )
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, Fraction):
        # What cancels out leaves less than 14 digits of itself.
        return abs(Fraction(found) - expected) <= max(abs(expected) / 10**14, Fraction(1, 10**15))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == expected)


def _wrong_revisions(models: Models, oracle: Oracle) -> list[str]:
    """The builds that revised something, in their order, against the revisions by their instants."""
    expected = [rows for rows in activity.day_revisions(oracle.published) if rows]
    figures = {name for published in oracle.published for day in published.days.values() for name in day}
    found: dict[Any, list[Row]] = {}
    rows = _rows(models, "marts.day_revisions")
    if rows is None:
        return ["marts.day_revisions: is not there"]
    for row in sorted(rows, key=lambda row: row["revised_at"]):
        if row["metric"] in figures:
            found.setdefault(row["revised_at"], []).append(row)
    if len(found) != len(expected):
        return [f"marts.day_revisions: {len(found)} builds revised something, expected {len(expected)}"]
    return [
        difference
        for number, (own, right) in enumerate(zip(found.values(), expected, strict=True), 1)
        for difference in differences(
            f"marts.day_revisions of the revising build {number}", ("activity_date", "metric"), own, right
        )
    ]


def _wrong_exclusions(models: Models, oracle: Oracle) -> list[str]:
    attempts = _rows(models, "marts.attempts") or []
    flags = {(row["user_id"], row.get("is_excluded")) for row in attempts}
    return [
        f"marts.attempts of {user_id}: is_excluded is {is_excluded}"
        for user_id, is_excluded in sorted(flags, key=repr)
        if is_excluded is not (user_id in oracle.excluded)
    ][:_SHOWN]

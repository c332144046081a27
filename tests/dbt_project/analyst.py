"""An analyst at work: a copy of the dbt project, dbt typed by hand on it, and what their models
must hold.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
import yaml

from orchestration.build import analyst_dbt
from orchestration.build import dbt as build_dbt
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.warehouse import Models

SCHEMA = "dev_anna"
MARTS = f"{SCHEMA}_marts"
FIRST_DAY = datetime.combine(date.today(), datetime.min.time(), timezone.utc) - timedelta(days=7)
"""Midnight before the first attempt: a few days back, because microbatch models go on to the present."""


def copy_of_project(folder: Path, monkeypatch: pytest.MonkeyPatch, tested: bool = True) -> Path:
    """Copy the dbt project below `folder` and let production's builds use the copy.

    Unit tests judge no data and stay away; so do the project's data tests unless `tested`, for
    speed.
    """
    project = folder / "dbt_project"
    ignored = shutil.ignore_patterns("target", "logs", ".*", "*_unit_tests.yml*", *([] if tested else ["assert_*"]))
    shutil.copytree(build_dbt.PROJECT, project, ignore=ignored)
    if not tested:
        for file in (project / "tests").glob("*/_*_tests.yml"):
            file.unlink()
        for file in (project / "models").rglob("*.yml"):
            content = yaml.safe_load(file.read_text("utf-8"))
            for described in [*content.get("models", []), *content.get("sources", [])]:
                for tests in [described, *described.get("columns", []), *described.get("tables", [])]:
                    tests.pop("data_tests", None)
            file.write_text(yaml.safe_dump(content), "utf-8")
    monkeypatch.setattr(build_dbt, "PROJECT", project)
    return project


def replace_in(file: Path, old: str, new: str) -> None:
    """Replace a text that must be in the file."""
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


@dataclass
class Terminal:
    """dbt as it is typed in the project's folder, with nothing exported but the settings of
    `models`' warehouse.
    """

    models: Models
    project: Path
    capture: pytest.CaptureFixture[str]

    def dbt(self, *arguments: str, succeeds: bool = True) -> str:
        """Run `dbt` with these arguments and return what it printed; asserts that it succeeds, or
        that it doesn't.
        """
        warehouse = self.models.warehouse
        settings = {
            "POSTGRES_HOST": warehouse.host,
            "POSTGRES_PORT": str(warehouse.port),
            "POSTGRES_DB": warehouse.dbname,
            "POSTGRES_USER": warehouse.user,
            "POSTGRES_PASSWORD": warehouse.password,
            "REPORT_TIMEZONE": self.models.zone.key,
            "STATE_DIR": str(self.models.state_dir),
            "GRADER_DBT_SCHEMA": SCHEMA,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "GRADER_"))}
        self.capture.readouterr()
        with (
            patch.dict(os.environ, inherited | settings, clear=True),
            patch("sys.argv", ["dbt", *arguments]),
            pytest.MonkeyPatch.context() as here,
        ):
            here.chdir(self.project)
            with pytest.raises(SystemExit) as end:
                raise SystemExit(analyst_dbt.main())
        printed = "".join(self.capture.readouterr())
        assert (end.value.code in (0, None)) is succeeds, printed
        return printed


@dataclass
class School:
    """Loads of attempts on a few courses, new, late and corrected ones; `oracle` knows what they
    come to.
    """

    oracle: Oracle = field(default_factory=Oracle)
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    sent: list[dict[str, Any]] = field(default_factory=list)
    fetched_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc) - timedelta(hours=12))

    def load(self, models: Models, new: int = 60) -> None:
        """Write the next load."""
        records = [self._attempt() for _ in range(new)]
        for old in self.rng.sample(self.sent, len(self.sent) // 5):
            submitted = old["attempt_type"] == "submit"
            records.append(old | {"is_correct": self.rng.choice([0, 1, None]) if submitted else None})
        self.sent.extend(records[:new])
        self.fetched_at += timedelta(hours=1)
        answers = [Answer(self.fetched_at, records)]
        self.oracle.load(models.load(answers), answers)

    def _attempt(self) -> dict[str, Any]:
        rng = self.rng
        user, course, block = rng.randrange(8), rng.choice("ABC"), rng.randrange(3)
        moment = FIRST_DAY + timedelta(seconds=rng.randrange(6 * 86_400), microseconds=rng.randrange(10**6))
        kind = rng.choice(["run", "submit", "submit"])
        sourcedid = f"course-v1:Org+{course}+2024:lms.example.com-b{block}:u{user}"
        return {
            "lti_user_id": f"u{user}",
            "passback_params": repr({"oauth_consumer_key": "", "lis_result_sourcedid": sourcedid}),
            "is_correct": rng.choice([0, 1]) if kind == "submit" else None,
            "attempt_type": kind,
            "created_at": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
        }


COURSE_NAMES = {"course-v1:Org+A+2024": "Algebra", "course-v1:Org+B+2024": "Botany"}
"""The seed's rows."""


def expected_rows(oracle: Oracle, zone: ZoneInfo) -> dict[str, list[tuple[Any, ...]]]:
    """Queries on the analyst's models, whose schema is `{}`, and the rows each must find, in any
    order.
    """
    attempts = [*oracle.attempts.values()]
    courses = [
        (course, len(them), len({a.user_id for a in them}), sum(a.correct for a in them))
        for course, them in _grouped(attempts, lambda a: a.course_key)
    ]
    of_course = "select course_key, attempts, learners, correct_submits from {}."
    return {
        f"{of_course}courses_plain": courses,
        f"{of_course}courses_published": courses,
        f"{of_course}packaged_courses": courses,
        "select course_key, correct_share::float8 from {}.courses_of_package": [
            (course, correct / count) for course, count, _, correct in courses
        ],
        "select course_key, course_name, attempts from {}.courses_contracted": [
            (course, COURSE_NAMES.get(course), count) for course, count, *_ in courses
        ],
        "select user_id, tasks, solved_tasks from {}.learners_view": [
            (user, len(them), sum(task.first_correct_at is not None for task in them))
            for user, them in _grouped(oracle.learner_tasks().values(), lambda task: task.attempts[0].user_id)
        ],
        "select user_id, created_at, activity_date from {}.attempts_append": [
            (a.user_id, a.created_at, a.day(zone)) for a in attempts
        ],
        "select user_id, created_at, is_correct, details ->> 'verdict' from {}.attempts_merge": [
            (a.user_id, a.created_at, a.values.is_correct, _json(a.values.is_correct)) for a in attempts
        ],
        "select activity_date, attempts, learners from {}.days_delete_insert": [
            (day, len(them), len({a.user_id for a in them})) for day, them in _grouped(attempts, lambda a: a.day(zone))
        ],
        "select user_id, course_key, attempts, correct_submits from {}.learner_courses_by_key": [
            (*key, len(them), sum(a.correct for a in them))
            for key, them in _grouped(attempts, lambda a: (a.user_id, a.course_key))
        ],
        # a batch of dbt's is a day of UTC
        "select user_id, created_at, is_correct, attempts_of_batch from {}.attempts_microbatch": [
            (a.user_id, a.created_at, a.values.is_correct, len(them))
            for _, them in _grouped(attempts, lambda a: a.day(ZoneInfo("UTC")))
            for a in them
        ],
    }


def wrong_models(models: Models, oracle: Oracle, schema: str) -> dict[str, object]:
    """The analyst's models in `schema` whose rows are not what they should be: rows too many and
    too few.
    """
    wrong: dict[str, object] = {}
    for query, right in expected_rows(oracle, models.zone).items():
        found = Counter(tuple(row.values()) for row in models.rows(query.format(schema)))
        if found != Counter(right):
            wrong[query] = {"too many": found - Counter(right), "too few": Counter(right) - found}
    return wrong


def _json(verdict: bool | None) -> str | None:
    return None if verdict is None else str(verdict).lower()


def _grouped(things: Iterable[Any], key: Callable[[Any], Any]) -> list[tuple[Any, list[Any]]]:
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for thing in things:
        groups[key(thing)].append(thing)
    return [*groups.items()]

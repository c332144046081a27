"""What an analyst adds by dbt's manual is right after every build, by hand and in production."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingestion.warehouse import Warehouse
from tests.dbt_project.analyst import (
    FIRST_DAY,
    MARTS,
    SCHEMA,
    School,
    Terminal,
    copy_of_project,
    replace_in,
    wrong_models,
)
from tests.dbt_project.warehouse import Models

THEIRS = Path(__file__).parent / "analyst_project"


@pytest.fixture
def terminal(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Terminal:
    """The project with the analyst's files in it, and a warehouse with nothing built."""
    project = copy_of_project(tmp_path, monkeypatch, tested=False)
    shutil.copytree(THEIRS, project, dirs_exist_ok=True)
    begin = f"\nvars:\n  microbatch_begin: '{FIRST_DAY:%Y-%m-%d}'\n"
    replace_in(project / "dbt_project.yml", "\nvars:\n", begin)
    models = Models(warehouse, tmp_path / "state")
    models.reset()
    terminal = Terminal(models, project, capfd)
    terminal.dbt("deps")
    return terminal


class Histories:
    """What the two models that remember every build must hold: a snapshot, and one with
    `full_refresh: false`.
    """

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.courses: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    def built(self, school: School) -> None:
        """Take in a build."""
        attempts = [*school.oracle.attempts.values()]
        self.attempts.append(len(attempts))
        for course in {str(a.course_key) for a in attempts}:
            of_course = [a for a in attempts if a.course_key == course]
            counts = len(of_course), sum(a.correct for a in of_course)
            if self.courses[course][-1:] != [counts]:
                self.courses[course].append(counts)

    def assert_kept(self, models: Models, marts: str, snapshots: str) -> None:
        kept = models.rows(f"select attempts from {marts}.builds_kept order by attempts")
        assert [row["attempts"] for row in kept] == self.attempts
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for row in models.rows(f"select * from {snapshots}.courses_history order by dbt_valid_from"):
            found[row["course_key"]].append((row["attempts"], row["correct_submits"]))
            assert (row["dbt_valid_to"] is None) == (
                len(found[row["course_key"]]) == len(self.courses[row["course_key"]])
            )
        assert found == self.courses


def test_every_model_is_right_after_each_build_in_production(terminal: Terminal) -> None:
    def build(full_refresh: bool) -> None:
        terminal.models.build(full_refresh)

    _assert_right_after_each_build(terminal, build, "marts", "marts")


def test_every_model_is_right_after_each_build_by_hand(terminal: Terminal) -> None:
    models, printed = terminal.models, []

    def build(full_refresh: bool) -> None:
        printed.append(terminal.dbt("build", *(["--full-refresh"] if full_refresh else [])))
        if len(printed) == 2:
            # The second build adds to what the first one built.
            compiled = terminal.project / "target" / "compiled" / "grader" / "models" / "marts"
            assert "as known" in (compiled / "attempts" / "attempts.sql").read_text("utf-8")
            assert "max(record_no)" in (compiled / "team" / "attempts_merge.sql").read_text("utf-8")

    _assert_right_after_each_build(terminal, build, MARTS, SCHEMA)
    assert ["--full-refresh" in text for text in printed] == [False, False, False, True, True]
    assert "the rules are version 1000 now" in printed[3]
    assert "days are those of America/New_York now" in printed[4]
    assert models.rows("select nspname from pg_namespace where nspname in ('marts', 'staging')") == []


def _assert_right_after_each_build(terminal: Terminal, build: Callable[[bool], None], marts: str, seeds: str) -> None:
    models, school, histories = terminal.models, School(), Histories()
    place = f"select '{marts}.courses_published'::regclass::oid as place"
    places = []
    for change in ("first", "none", "asked", "rules", "zone"):
        school.load(models)
        if change == "rules":
            replace_in(terminal.project / "dbt_project.yml", "  rules_version: ", "  rules_version: 1000 # ")
        elif change == "zone":
            models.zone = ZoneInfo("America/New_York")
        build(change == "asked")
        histories.built(school)
        assert wrong_models(models, school.oracle, marts) == {}, change
        histories.assert_kept(models, marts, seeds)
        places.append(models.rows(place)[0]["place"])
        if change == "first":
            # Other people's views: on a seed, and on a table that keeps its place.
            models.execute(f"create schema theirs; create view theirs.names as select * from {seeds}.course_names")
            models.execute(f"create view theirs.courses as select * from {marts}.courses_published")
        elif change == "none":
            assert len(models.rows("select * from theirs.names")) == 2
    assert len(set(places)) == 1
    assert len(models.rows("select * from theirs.courses")) == 3

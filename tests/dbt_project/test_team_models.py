"""Models in models/team/: built after the core is published, and never stopping it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.build.dbt import Dbt
from orchestration.summary import TestResult
from tests.dbt_project.analyst import School, copy_of_project
from tests.dbt_project.warehouse import Models


@pytest.fixture
def team(models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for analysts' models in a copy of the project; records are loaded, nothing is built."""
    folder = copy_of_project(tmp_path, monkeypatch, tested=False) / "models" / "team"
    folder.mkdir(exist_ok=True)
    models.reset()
    School().load(models)
    return folder


def build(models: Models) -> tuple[TestResult, ...]:
    dbt = Dbt(models.warehouse, models.zone, models.state_dir)
    assert dbt.build().failures == ()
    return dbt.build_team()


def test_a_model_of_the_team_is_built(models: Models, team: Path) -> None:
    (team / "learners_by_course.sql").write_text(
        "select course_key, count(distinct user_id) as learners from {{ ref('attempts') }} group by course_key"
    )
    assert build(models) == ()
    assert models.rows("select count(*) > 0 as there from marts.learners_by_course") == [{"there": True}]


def test_what_fails_there_is_named_and_stops_nothing(models: Models, team: Path) -> None:
    (team / "broken.sql").write_text("select no_such_column from {{ ref('attempts') }}")
    (team / "fine.sql").write_text("select count(*) as attempts from {{ ref('attempts') }}")
    (team / "team.yml").write_text(
        "models:\n  - name: fine\n    columns:\n      - name: attempts\n        data_tests:\n"
        "          - accepted_values:\n              name: never_so_few\n              description: Look.\n"
        "              arguments: {values: [-1]}\n"
    )
    failed = {result.name: result for result in build(models)}
    assert set(failed) == {"broken", "never_so_few"}
    assert "no_such_column" in failed["broken"].message
    assert failed["never_so_few"].description == "Look."
    assert all(result.status == "warn" for result in failed.values())
    [day] = models.rows("select sum(attempts) as attempts from marts.daily_metrics")
    assert models.rows("select attempts from marts.fine") == [{"attempts": day["attempts"]}]


def test_a_file_that_dbt_cannot_read_stops_nothing_either(models: Models, team: Path) -> None:
    (team / "fine.sql").write_text("select 1 as one")
    (team / "unreadable.sql").write_text("select {% if %} from {{ ref('no_such_model') }}")
    [failed] = build(models)
    assert failed.status == "warn"
    assert "unreadable" in failed.message
    [day] = models.rows("select count(*) as days from marts.daily_metrics")
    assert day["days"] > 0

"""dbt's commands, typed by hand, work on an analyst's own schemas and leave production as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestion.warehouse import Warehouse
from orchestration.build import dbt as build_dbt
from tests.conftest import temporary_database
from tests.dbt_project.analyst import MARTS, SCHEMA, School, Terminal, copy_of_project
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.plans import rows_handled
from tests.dbt_project.warehouse import Models

MY_MODEL = """
with days as (select * from {{ ref('daily_metrics') }}),

attempts as (select * from {{ ref('attempts') }})

select days.activity_date, days.attempts, count(attempts.attempt_id) as counted
from days
left join attempts on days.activity_date = attempts.activity_date
group by days.activity_date, days.attempts
"""
OWN_SCHEMAS = ", ".join([SCHEMA, MARTS, f"{SCHEMA}_staging", f"{SCHEMA}_dbt_test__audit"])


class Shared:
    """A warehouse that production has built, and a copy of the project with `my_model` in it."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            self.project = copy_of_project(folder, patch)
            self.my_model = self.project / "models" / "marts" / "my_model.sql"
            self.my_model.write_text(MY_MODEL, "utf-8")
            self.models = Models(warehouse, folder / "state")
            self.models.reset()
            self.school = School()
            self.school.load(self.models)
            self.models.build()


@pytest.fixture(scope="module")
def shared(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with temporary_database(server) as warehouse:
        yield Shared(warehouse, tmp_path_factory.mktemp("commands"))


@pytest.fixture
def terminal(shared: Shared, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """The project's folder and no schemas of one's own; production must be right at the end."""
    monkeypatch.setattr(build_dbt, "PROJECT", shared.project)
    shared.models.execute(f"drop schema if exists {OWN_SCHEMAS} cascade")
    yield Terminal(shared.models, shared.project, capfd)
    assert_as_contracted(shared.models, shared.school.oracle)


def test_commands_that_need_no_build_of_ones_own(terminal: Terminal) -> None:
    models = terminal.models
    shown = json.loads(terminal.dbt("show", "--select", "daily_metrics", "--limit", "2", "--output", "json", "--quiet"))
    assert len(shown["show"]) == 2
    terminal.dbt("test", "--select", "learner_tasks", "--exclude-resource-type", "unit_test")
    assert "marts" in terminal.dbt("compile", "--select", "my_model")
    terminal.dbt("source", "freshness")
    freshness = json.loads((terminal.project / "target" / "sources.json").read_text("utf-8"))
    assert {result["status"] for result in freshness["results"]} == {"pass"}
    terminal.dbt("run", "--select", "my_model")
    assert _wrong_days(models) == []
    own = models.rows("select relname from pg_class where relnamespace::regnamespace::text = %s", [MARTS])
    assert [row["relname"] for row in own] == ["my_model"]
    terminal.dbt("docs", "generate")
    assert "my_model" in (terminal.project / "target" / "catalog.json").read_text("utf-8")


def test_a_retry_builds_what_a_failing_test_held_up(terminal: Terminal) -> None:
    doubt = terminal.project / "tests" / "assert_nothing_is_there.sql"
    doubt.write_text("select attempt_id from {{ ref('attempts') }}", "utf-8")
    assert "FAIL" in terminal.dbt("build", succeeds=False)
    doubt.write_text("select attempt_id from {{ ref('attempts') }} where false", "utf-8")
    terminal.dbt("retry")
    doubt.unlink()
    assert _wrong_days(terminal.models) == []
    assert _differences(terminal.models) == {}


def test_a_build_goes_on_from_clones(terminal: Terminal, shared: Shared) -> None:
    terminal.dbt("clone", "--exclude", "my_model")
    assert _differences(terminal.models) == {}
    shared.school.load(terminal.models)
    terminal.dbt("build")
    terminal.models.build()
    assert _wrong_days(terminal.models) == []
    assert _differences(terminal.models) == {}


def test_a_sample_cuts_ones_own_models_and_a_whole_build_follows(terminal: Terminal) -> None:
    models = terminal.models
    terminal.dbt("build", "--sample", "3 days")
    # Our own marts are whole, so that their figures add up; models on them see the sample.
    assert _differences(models) == {}
    (sampled,) = models.rows(f"select sum(counted) as attempts from {MARTS}.my_model")
    (whole,) = models.rows("select sum(attempts) as attempts from marts.daily_metrics")
    assert 0 < sampled["attempts"] < whole["attempts"]
    terminal.dbt("build", "--full-refresh")
    assert _wrong_days(models) == []
    assert _differences(models) == {}


def test_builds_after_empty_ones_are_right_and_not_quadratic(
    terminal: Terminal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, school = terminal.models, shared.school
    terminal.dbt("build", "--empty")
    terminal.dbt("build")
    assert _differences(models) == {}

    handled: list[list[int]] = []
    for new in (600, 2_200):
        school.load(models, new)
        terminal.dbt("run", "--empty", "--full-refresh", "--target", "prod")
        counts = []
        for full_refresh in (False, True):
            models.execute(
                "delete from marts.attempts; delete from marts.learner_tasks; delete from marts.load_receipts"
            )
            with rows_handled(monkeypatch) as rows:
                models.build(full_refresh)
            assert_as_contracted(models, school.oracle)
            counts.append(rows.total())
        handled.append(counts)
    for small, large in zip(*handled, strict=True):
        assert small > 4_000
        assert large < 8 * small


def _wrong_days(models: Models) -> list[dict[str, Any]]:
    """The rows of `my_model` that don't count a day of production's marts right."""
    return models.rows(
        f"""
        select * from {MARTS}.my_model full join marts.daily_metrics using (activity_date)
        where counted is distinct from daily_metrics.attempts
        """
    )


def _differences(models: Models) -> dict[str, list[dict[str, Any]]]:
    """Rows that only one's own marts or production's have; `record_no` depends on the builds."""
    found = {}
    for mart in ("attempts", "rejected_attempts", "learner_tasks", "daily_metrics", "load_receipts"):
        own, published = (
            f"select to_jsonb(rows) - 'record_no' as row from {schema}.{mart} as rows" for schema in (MARTS, "marts")
        )
        rows = models.rows(f"({own} except {published}) union all ({published} except {own})")
        if rows:
            found[mart] = rows
    return found

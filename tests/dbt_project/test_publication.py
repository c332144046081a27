"""Nothing half-built or doubtful is published, and a later build makes up for it."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from orchestration.build import dbt as transform
from orchestration.errors import StageError
from tests.dbt_project.compare import assert_as_contracted
from tests.dbt_project.grader import Grader
from tests.dbt_project.oracle import Oracle
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 5, 20, tzinfo=timezone.utc)
_MARTS = ("attempts", "rejected_attempts", "learner_tasks", "daily_metrics", "load_receipts")
_CHANGES_BY_HAND = (
    "update marts.attempts set course_key = null where record_no % 3 = 0",
    "update marts.attempts set attempt_id = md5(attempt_id::text)::uuid where record_no % 5 = 0",
    "delete from marts.learner_tasks where record_no % 2 = 0",
    "update marts.learner_tasks set first_correct_at = null",
    "update marts.rejected_attempts set rejection_reasons = '{}' where record_no % 2 = 0",
    "delete from marts.daily_metrics where activity_date = (select min(activity_date) from marts.daily_metrics)",
    "insert into marts.daily_metrics (activity_date, attempts) values ('2001-01-01', 1)",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project to put wrong things into, which the builds use."""
    project = tmp_path / "dbt_project"
    shutil.copytree(transform.PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", ".*"))
    monkeypatch.setattr(transform, "PROJECT", project)
    return project


@pytest.mark.parametrize("model", ["stg_grader__attempts", "attempts", "load_receipts"])
def test_a_failing_test_leaves_all_as_it_was(models: Models, project: Path, model: str) -> None:
    grader, oracle = _built(models, 11)
    published = models.everything()

    doubt = project / "tests" / "assert_nothing_is_there.sql"
    doubt.write_text(f"select record_no, md5(record_no::text) as user_id from {{{{ ref('{model}') }}}}\n")
    _load(models, grader, oracle)
    for full_refresh in (False, False, True):
        build = models.dbt.build(full_refresh)
        assert any("assert_nothing_is_there" in failure for failure in build.failures)
        assert build.tests.failed == 1
        # The rows that fail are shown, though nobody else can see them.
        (result,) = [result for result in build.tests.results if result.status == "fail"]
        assert "user_id=(user_id 1)" in result.sample[0]
        assert models.everything() == published
    doubt.unlink()
    models.build()
    assert_as_contracted(models, oracle)


def test_a_model_that_cannot_be_made_leaves_all_as_it_was(models: Models, project: Path) -> None:
    grader, oracle = _built(models, 13)
    published = models.everything()
    wrong = project / "models" / "marts" / "wrong.sql"
    wrong.write_text("select 1 / (attempts - attempts) as nothing from {{ ref('daily_metrics') }}\n")
    _load(models, grader, oracle)
    build = models.dbt.build()
    assert [failure.partition(":")[0] for failure in build.failures] == ["model wrong"]
    assert "division by zero" in build.failures[0]
    assert models.everything() == published
    wrong.unlink()
    models.build()
    assert_as_contracted(models, oracle)


def test_a_first_build_that_fails_shows_nothing(models: Models, project: Path) -> None:
    grader, oracle = Grader(14, NOW), Oracle()
    _load(models, grader, oracle)
    doubt = project / "tests" / "assert_nothing_is_there.sql"
    doubt.write_text("select record_no from {{ ref('load_receipts') }}\n")
    assert models.dbt.build().failures
    assert models.rows("select relname from pg_class where relnamespace::regnamespace::text = 'marts'") == []
    doubt.unlink()
    models.build()
    assert_as_contracted(models, oracle)


def test_whoever_looks_meanwhile_sees_the_last_build(models: Models) -> None:
    grader, oracle = _built(models, 15)
    published = _marts(models)
    seen = []
    for full_refresh in (False, True):
        _load(models, grader, oracle)
        build = models.dbt.build(full_refresh, before_publishing=lambda: seen.append(_marts(models)))
        assert not build.failures
        assert seen.pop() == published
        published = _marts(models)
    assert_as_contracted(models, oracle)


def test_who_stops_the_publishing_stops_all_of_it(models: Models) -> None:
    grader, oracle = _built(models, 16)
    published = models.everything()
    _load(models, grader, oracle)

    def stop() -> None:
        raise StageError("not now")

    with pytest.raises(StageError, match="not now"):
        models.dbt.build(before_publishing=stop)
    assert models.everything() == published
    models.build()
    assert_as_contracted(models, oracle)


def test_a_full_refresh_puts_right_what_was_changed_by_hand(models: Models) -> None:
    _built(models, 20)
    published = models.everything()
    for statement in _CHANGES_BY_HAND:
        models.execute(statement)
    assert models.everything() != published
    models.build(full_refresh=True)
    assert models.everything() == published


def test_a_full_refresh_that_changes_nothing_leaves_no_dead_rows(models: Models) -> None:
    _built(models, 21)
    places = "select attempt_id, ctid::text, xmin::text from marts.attempts order by attempt_id"
    before = models.rows(places)
    models.build(full_refresh=True)
    assert models.rows(places) == before


def test_a_full_refresh_keeps_privileges_and_the_views_of_others(models: Models) -> None:
    grader, oracle = _built(models, 19)
    models.execute("grant select on marts.daily_metrics to public")
    models.execute("create schema if not exists theirs")
    models.execute("create or replace view theirs.days as select activity_date, attempts from marts.daily_metrics")
    try:
        _load(models, grader, oracle)
        models.build(full_refresh=True)
        assert_as_contracted(models, oracle)
        days = models.rows("select activity_date, attempts from marts.daily_metrics order by 1")
        assert models.rows("select * from theirs.days order by 1") == days
        rights = models.rows("select relacl::text as rights from pg_class where oid = 'marts.daily_metrics'::regclass")
        assert "{=r/" in rights[0]["rights"].replace(",=r/", "{=r/")
    finally:
        models.execute("drop schema theirs cascade")


def test_a_table_with_other_columns_or_indexes_is_exchanged(models: Models) -> None:
    grader, oracle = _built(models, 18)
    models.execute("alter table marts.attempts drop column block_id, add column of_yore int")
    models.execute("drop index marts." + _index_of(models, "learner_tasks"))
    models.execute("alter table marts.daily_metrics alter column unique_users type int")
    models.execute("update marts.load_receipts set rules_version = 0")
    _load(models, grader, oracle)
    models.build()
    assert_as_contracted(models, oracle)
    columns = models.rows(
        "select attname from pg_attribute where attrelid = 'marts.attempts'::regclass and attname = 'of_yore'"
    )
    assert columns == []
    assert _index_of(models, "learner_tasks")


@pytest.mark.parametrize(
    "selections",
    [
        ["attempts"],
        ["attempts rejected_attempts", "learner_tasks"],
        ["stg_grader__attempts attempts int_learner_days"],
    ],
    ids=["one", "one after another", "half"],
)
def test_models_built_apart_come_together_again(models: Models, selections: list[str]) -> None:
    grader, oracle = _built(models, 12)
    _load(models, grader, oracle)
    for selection in selections:
        # What is left when a build is killed, or when someone runs a few models by hand.
        assert models.dbt._invoke(["run", "--select", *selection.split()]).success
        _load(models, grader, oracle)
    models.build()
    assert_as_contracted(models, oracle)


def _index_of(models: Models, mart: str) -> str:
    """The name of the mart's index on record_no."""
    (row,) = models.rows(
        "select indexname from pg_indexes"
        " where schemaname = 'marts' and tablename = %s and indexdef like '%%(record_no)'",
        [mart],
    )
    return f'"{row["indexname"]}"'


def _built(models: Models, seed: int) -> tuple[Grader, Oracle]:
    """A grader of its own whose first load is built, and the oracle that knows of it."""
    grader, oracle = Grader(seed, NOW), Oracle()
    _load(models, grader, oracle)
    models.build()
    return grader, oracle


def _load(models: Models, grader: Grader, oracle: Oracle) -> None:
    answers = grader.load() + grader.load()
    oracle.load(models.load(answers), answers)


def _marts(models: Models) -> dict[str, list[str]]:
    return {
        mart: [
            str(row)
            for row in models.rows(f"select to_jsonb(m) as row from marts.{mart} as m order by to_jsonb(m)::text")
        ]
        for mart in _MARTS
    }

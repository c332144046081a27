"""Nothing half-built or doubtful is published, and a later build makes up for it."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from orchestration import transform
from tests.models.compare import assert_as_contracted
from tests.models.grader import Grader
from tests.models.oracle import Oracle
from tests.models.warehouse import Models

NOW = datetime(2024, 5, 20, tzinfo=timezone.utc)
_MARTS = ("attempts", "rejected_attempts", "learner_tasks", "daily_metrics", "load_receipts")


def test_a_failing_test_upstream_leaves_the_marts_as_they_were(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(transform.PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", ".*"))
    monkeypatch.setattr(transform, "PROJECT", project)
    grader, oracle = Grader(11, NOW), Oracle()
    _load(models, grader, oracle)
    models.build()
    published = _marts(models)

    doubt = project / "tests" / "assert_nothing_is_staged.sql"
    doubt.write_text("select record_no from {{ ref('stg_grader__attempts') }}\n")
    _load(models, grader, oracle)
    for _ in range(2):
        build = models.dbt.build()
        assert any("assert_nothing_is_staged" in failure for failure in build.failures)
        assert build.tests.failed == 1
        assert _marts(models) == published
    doubt.unlink()
    models.build()
    assert_as_contracted(models, oracle)


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
    grader, oracle = Grader(12, NOW), Oracle()
    _load(models, grader, oracle)
    models.build()
    _load(models, grader, oracle)
    for selection in selections:
        # What is left when a build is killed, or when someone runs a few models by hand.
        assert models.dbt._invoke(["run", "--select", *selection.split()]).success
        _load(models, grader, oracle)
    models.build()
    assert_as_contracted(models, oracle)


def _load(models: Models, grader: Grader, oracle: Oracle) -> None:
    answers = grader.load() + grader.load()
    oracle.load(models.load(answers), answers)


def _marts(models: Models) -> dict[str, list[str]]:
    return {
        mart: [
            str(row)
            for row in models.rows(
                f"select to_jsonb(m) as row from marts.{mart} as m order by to_jsonb(m)::text"
            )
        ]
        for mart in _MARTS
    }

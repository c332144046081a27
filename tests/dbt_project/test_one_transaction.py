"""Whatever a model, hook or package sends: a build is published as a whole, or says who broke it
and stops.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.warehouse import Warehouse
from orchestration.build import dbt as build_dbt
from orchestration.build.dbt import Build
from orchestration.errors import EXIT_STAGE_FAILED, StageError
from tests.dbt_project.warehouse import Models

LOG = "create schema if not exists package; create table if not exists package.log (line text); "
QUERY = "{%% if execute %%}{%% do run_query('%s') %%}{%% endif %%} select 2 as number"
HOOK = "{{ config(pre_hook={'sql': \"%s\", 'transaction': %s}) }} select 1 as number"


class SmallProject:
    """Three models, each on the one before: `earlier`, `faulty` and `later`, with the project's
    macros and settings.
    """

    def __init__(self, models: Models, folder: Path) -> None:
        self.models = models
        self.folder = folder
        shutil.copytree(build_dbt.PROJECT / "macros", folder / "macros", ignore=shutil.ignore_patterns("*.yml"))
        for name in ("dbt_project.yml", "profiles.yml"):
            shutil.copy(build_dbt.PROJECT / name, folder)
        (folder / "models" / "marts").mkdir(parents=True)
        self.reset()

    def reset(self) -> None:
        self.models.execute("drop schema if exists marts, staging, package, dbt_test__audit cascade")
        shutil.rmtree(self.folder / "tests", ignore_errors=True)
        (self.folder / "tests").mkdir()
        self.write("earlier", "select 1 as number")
        self.write("faulty", "select 1 as number")
        self.write("later", "select number from {{ ref('faulty') }}")

    def write(self, model: str, text: str) -> None:
        depends_on = "-- depends_on: {{ ref('earlier') }}\n" if model == "faulty" else ""
        (self.folder / "models" / "marts" / f"{model}.sql").write_text(depends_on + text, "utf-8")

    def write_test(self, text: str) -> None:
        (self.folder / "tests" / "assert_nothing.sql").write_text(text, "utf-8")

    def build(self) -> Build:
        return self.models.dbt.build()

    def broken(self) -> str:
        """Build and return the message of the error, which ends the run with exit code 1."""
        with pytest.raises(StageError) as error:
            self.build()
        assert error.value.exit_code == EXIT_STAGE_FAILED
        return str(error.value)

    def numbers(self) -> list[int | None]:
        """What others see of the three models; None of one that is not there."""
        seen = []
        for model in ("earlier", "faulty", "later"):
            there = self.models.rows(f"select to_regclass('marts.{model}') is not null as there")[0]["there"]
            seen.append(self.models.rows(f"select number from marts.{model}")[0]["number"] if there else None)
        return seen


@pytest.fixture(scope="module")
def _small(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallProject]:
    # One database for all tests: dbt parses the whole project again for another one.
    from tests.conftest import temporary_database

    folder = tmp_path_factory.mktemp("small")
    with temporary_database(server) as warehouse:
        yield SmallProject(Models(warehouse, folder / "state"), folder)


@pytest.fixture
def small(_small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    monkeypatch.setattr(build_dbt, "PROJECT", _small.folder)
    _small.reset()
    return _small


def test_commits_at_the_end_of_statements_are_no_commits(small: SmallProject) -> None:
    queries = [
        "commit",
        " COMMIT ; ",
        "/* of a package */ commit work;",
        LOG + "insert into package.log values ('one'); commit;",
        "begin; insert into package.log values ('two');\ncommit transaction;",
    ]
    calls = "".join(f'{{% do run_query("{query}") %}}' for query in queries)
    small.write("faulty", "{% if execute %}" + calls.replace("\n", "\\n") + "{% endif %} select 1 as number")
    small.write_test("select line from package.log where false -- {{ ref('faulty') }}")
    build = small.build()
    assert (build.failures, build.models) == ((), 3)
    assert small.numbers() == [1, 1, 1]
    assert [row["line"] for row in small.models.rows("select line from package.log order by line")] == [
        "one",
        "two",
    ]

    # None of them has kept what a failing build takes back.
    small.write("earlier", "select 2 as number")
    small.write_test("select line from package.log -- {{ ref('faulty') }}")
    assert small.build().failures
    assert small.numbers() == [1, 1, 1]
    assert len(small.models.rows("select line from package.log")) == 2


@pytest.mark.parametrize(
    "faulty",
    [
        QUERY % "create table marts.x as select 1 as y; commit; select 1",
        QUERY % "commit; begin;",
        HOOK % ("select 1; rollback; select 1", "True"),
    ],
    ids=["commit inside", "commit and begin", "rollback inside"],
)
def test_a_commit_inside_a_statement_is_noticed(small: SmallProject, faulty: str) -> None:
    small.build()
    small.write("faulty", faulty)
    small.write("later", "select number + 5 as number from {{ ref('faulty') }}")
    message = small.broken()
    assert message.startswith("model.grader.faulty ended the build's transaction by a commit or rollback")
    assert "Remove that statement" in message
    assert small.numbers()[2] == 1
    small.write("faulty", "select 4 as number")
    assert small.build().failures == ()
    assert small.numbers() == [1, 4, 9]


def test_hooks_outside_the_transaction_are_refused_before_anything_is_built(small: SmallProject) -> None:
    small.write("faulty", HOOK % ("select 1", "False"))
    message = small.broken()
    assert "model.grader.faulty" in message
    assert "select 1" in message
    assert "Nothing was built" in message
    assert small.numbers() == [None, None, None]


def test_a_hook_that_vacuums_says_what_can_not_be(small: SmallProject) -> None:
    small.build()
    small.write("faulty", HOOK.replace("pre", "post") % ("vacuum {{ this }}", "True"))
    (failure,) = small.build().failures
    assert failure.startswith("model faulty: ")
    assert "VACUUM cannot run inside a transaction block" in failure


def test_rows_of_stored_failures_outlive_the_build_that_failed(small: SmallProject) -> None:
    small.build()
    small.write("earlier", "select 2 as number")
    small.write_test(
        "{{ config(store_failures=true) }} select number, 'it''s' as text, null::jsonb as empty"
        " from {{ ref('earlier') }}"
    )
    for _ in range(2):
        assert [failure.partition(":")[0] for failure in small.build().failures] == ["test assert_nothing"]
        assert small.numbers() == [1, 1, 1]
        kept = small.models.rows("select number, text, empty from dbt_test__audit.assert_nothing")
        assert kept == [{"number": 2, "text": "it's", "empty": None}]
    (small.folder / "tests" / "assert_nothing.sql").unlink()
    assert small.build().failures == ()
    assert small.numbers() == [2, 1, 1]


def test_a_connection_lost_in_the_middle_publishes_nothing(small: SmallProject) -> None:
    small.build()
    small.write("earlier", "select 2 as number")
    small.write("faulty", HOOK % ("select pg_terminate_backend(pg_backend_pid())", "True"))
    message = small.broken()
    assert "connection" in message
    assert "was lost during the build. Nothing was published" in message
    assert small.numbers() == [1, 1, 1]
    small.write("faulty", "select 3 as number")
    assert small.build().failures == ()
    assert small.numbers() == [2, 3, 3]

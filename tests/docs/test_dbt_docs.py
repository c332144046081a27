"""The dbt project as analysts meet it: all is described, truly so, and a warehouse without data is fine."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dbt.cli.main import dbtRunner

from ingestion import raw
from ingestion.batches import Fetched
from ingestion.source import load
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.build.dbt import PROJECT, dbt_environment

KEY_TESTS = {"unique", "unique_by_index"}


@dataclass
class Outcome:
    """What a dbt command came to: each node's status by its unique id, and every warning and error."""

    statuses: dict[str, str]
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Project:
    """The project built in a warehouse in which nothing was ever loaded."""

    warehouse: Warehouse
    target: Path
    build: Outcome

    @property
    def manifest(self) -> dict[str, Any]:
        """All that dbt knows of this project, packages left out."""
        found: dict[str, Any] = json.loads((self.target / "manifest.json").read_text())
        return {
            kind: {name: node for name, node in nodes.items() if node.get("package_name") == "grader"}
            for kind, nodes in found.items()
            if kind in ("nodes", "sources", "macros", "exposures", "docs", "unit_tests")
        }

    def run(self, *arguments: str) -> Outcome:
        """Run a dbt command on production's schemas of this warehouse."""
        return _dbt(self.target, *arguments)

    def columns(self) -> dict[tuple[str, str], set[str]]:
        """The columns that each relation has in the warehouse."""
        found: dict[tuple[str, str], set[str]] = {}
        with closing(self.warehouse.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("select table_schema, table_name, column_name from information_schema.columns")
            for schema, table, column in cursor.fetchall():
                found.setdefault((schema, table), set()).add(column)
        return found


@pytest.fixture(scope="module")
def project(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    name = f"docs_{secrets.token_hex(6)}"
    _execute(server, f"create database {name} template template0")
    warehouse = replace(server, dbname=name)
    try:
        raw.prepare(warehouse)
        _make_dlts_tables(warehouse, tmp_path_factory.mktemp("loader"))
        target = tmp_path_factory.mktemp("target")
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in dbt_environment(warehouse, ZoneInfo("Europe/Moscow")).items():
                patch.setenv(variable, value)
            build = _dbt(target, "build", "--no-partial-parse", "--exclude-resource-type", "unit_test")
            yield Project(warehouse, target, build)
    finally:
        _execute(server, f"drop database {name} with (force)")


def test_a_warehouse_without_any_load_builds_without_a_warning(project: Project) -> None:
    assert project.build.complaints == []
    unhappy = {name for name, status in project.build.statuses.items() if status not in ("success", "pass")}
    assert {name for name in unhappy if not name.startswith("exposure.")} == set()
    tests = [name for name in project.build.statuses if name.startswith("test.")]
    assert len(tests) == len([name for name in project.manifest["nodes"] if name.startswith("test.")])


def test_every_unit_test_passes_on_a_fresh_warehouse(project: Project) -> None:
    outcome = project.run("test", "--select", "test_type:unit")
    assert outcome.complaints == []
    statuses = {name: status for name, status in outcome.statuses.items() if name.startswith("unit_test.")}
    assert statuses == dict.fromkeys(project.manifest["unit_tests"], "pass")


def test_everything_has_a_description(project: Project) -> None:
    manifest = project.manifest
    described = [
        *(
            (name, node)
            for name, node in manifest["nodes"].items()
            if node["resource_type"] in ("model", "test")
        ),
        *manifest["sources"].items(),
        *(
            (f"{name} (the source)", {"description": node["source_description"]})
            for name, node in manifest["sources"].items()
        ),
        *manifest["macros"].items(),
        *manifest["exposures"].items(),
        *manifest["unit_tests"].items(),
    ]
    assert {name for name, node in described if not (node["description"] or "").strip()} == set()


def test_every_models_description_begins_with_the_grain(project: Project) -> None:
    described = [*_models(project), *project.manifest["sources"].values()]
    assert [node["name"] for node in described if not node["description"].startswith("Grain: ")] == []


def test_the_columns_described_are_those_in_the_warehouse(project: Project) -> None:
    actual = project.columns()
    for node in [*_models(project), *project.manifest["sources"].values()]:
        described = {name: column["description"] for name, column in node["columns"].items()}
        relation = node["schema"], node.get("identifier") or node["name"]
        assert set(described) == actual[relation], relation
        assert [name for name, description in described.items() if not description.strip()] == [], relation


def test_every_macro_documents_its_own_arguments(project: Project) -> None:
    for name, macro in project.manifest["macros"].items():
        signature = re.search(r"{%-?\s*(?:macro|test)\s+\w+\((.*?)\)", macro["macro_sql"], re.DOTALL)
        assert signature, name
        expected = [
            argument.split("=")[0].strip() for argument in signature[1].split(",") if argument.strip()
        ]
        assert [argument["name"] for argument in macro["arguments"]] == expected, name
        assert all(argument["description"] and argument["type"] for argument in macro["arguments"]), name


def test_every_model_tests_its_key(project: Project) -> None:
    tested = {
        node["attached_node"]
        for node in project.manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in KEY_TESTS
    }
    assert tested == {node["unique_id"] for node in _models(project)}


def test_every_exposure_names_its_owner_and_what_it_reads(project: Project) -> None:
    for name, exposure in project.manifest["exposures"].items():
        assert exposure["owner"]["name"], name
        assert {"model.grader.daily_metrics", "model.grader.load_receipts"} <= set(
            exposure["depends_on"]["nodes"]
        ), name


def test_every_doc_block_is_used(project: Project) -> None:
    used = set(
        re.findall(r"doc\('(\w+)'\)", "".join(path.read_text() for path in PROJECT.glob("models/**/*.yml")))
    )
    assert {doc["name"] for doc in project.manifest["docs"].values()} - {"__overview__"} == used


def test_the_descriptions_name_only_what_there_is(project: Project) -> None:
    texts = "\n".join(_descriptions(project.manifest))
    relations = {f"{schema}.{table}" for schema, table in project.columns()}
    named = set(re.findall(r"`((?:raw|staging|marts)\.[a-z_]+)`", texts))
    assert named, "the descriptions name no relation at all"
    assert named <= relations
    targets = set(re.findall(r"^([a-z-]+):.*##", (PROJECT.parent / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", texts)) <= targets


def test_the_home_page_explains_every_mart_and_every_reason(project: Project) -> None:
    page = project.manifest["docs"]["doc.grader.__overview__"]["block_contents"]
    marts = [node["name"] for node in _models(project) if node["schema"] == "marts"]
    reasons = re.findall(
        r"'(\w+)'", project.manifest["macros"]["macro.grader.rejection_reasons"]["macro_sql"]
    )
    assert [mart for mart in marts if f"`marts.{mart}`" not in page] == []
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == ["not_an_object", *reasons]


def _models(project: Project) -> list[dict[str, Any]]:
    return [node for node in project.manifest["nodes"].values() if node["resource_type"] == "model"]


def _descriptions(manifest: dict[str, Any]) -> Iterable[str]:
    for kind in ("nodes", "sources", "macros", "exposures"):
        for node in manifest[kind].values():
            yield node["description"]
            yield from (column["description"] for column in node.get("columns", {}).values())
    yield from (doc["block_contents"] for doc in manifest["docs"].values())


def _dbt(target: Path, *arguments: str) -> Outcome:
    complaints: list[str] = []

    def listen(event: Any) -> None:
        if event.info.level in ("warn", "error"):
            complaints.append(f"{event.info.name}: {event.info.msg}")

    result = dbtRunner(callbacks=[listen]).invoke(
        [
            *arguments,
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "prod"),
            *("--target-path", str(target), "--log-path", str(target), "--show-all-deprecations"),
            *("--log-level", "none", "--log-level-file", "none", "--no-use-colors"),
        ]
    )
    if result.exception:
        raise result.exception
    return Outcome({node.node.unique_id: str(node.status) for node in result.result.results}, complaints)


def _make_dlts_tables(warehouse: Warehouse, folder: Path) -> None:
    """Load an answer without records, and forget that it was loaded: dlt's tables stay, as dlt makes them."""
    answer, now = folder / "answer", datetime.now(timezone.utc)
    answer.touch()
    window = Window(now - timedelta(days=1), now)
    load(warehouse, [Fetched(window, window, "round", now, answer, 0, 0, 0, 0)], folder)
    _execute(warehouse, "delete from raw.fetches; delete from raw._dlt_loads")


def _execute(warehouse: Warehouse, statement: str) -> None:
    with closing(warehouse.connect(application_name="tests")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)

"""The dbt project as analysts meet it: all is described, truly so, and a warehouse without data is fine."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dbt.cli.main import dbtRunner

from ingestion.warehouse import Warehouse
from orchestration.build.dbt import PROJECT, dbt_environment
from tests.dbt_project.warehouse import Models

KEY_TESTS = {"unique", "unique_by_index", "one_row"}
# The folders of `models/marts` whose models are a promise; an analyst's stand beside them.
PUBLISHED = {"attempts", "activity", "learning"}
# Where what names learners goes, so that it can be withheld as a whole.
PERSONAL = {"learner_courses", "excluded_learners"}
# What descriptions name although the project's SQL does not: a file, a config, an analyst's model and schema, a word.
NAMED_ELSEWHERE = {"dbt_project", "event_time", "my_model", "dev_me_marts", "kinds"}


@dataclass
class Outcome:
    """What a dbt command came to: each node's status by its unique id, the compiled SQL, every warning and error."""

    statuses: dict[str, str] = field(repr=False)
    compiled: dict[str, str] = field(default_factory=dict, repr=False)
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

    def columns(self) -> dict[tuple[str, str], dict[str, str]]:
        """The columns that each relation has in the warehouse, with their types as PostgreSQL calls them."""
        found: dict[tuple[str, str], dict[str, str]] = {}
        for schema, table, column, type_name in self.rows(
            """
            select relation.relnamespace::regnamespace::text, relation.relname, attname, atttypid::regtype::text
            from pg_catalog.pg_attribute
            inner join pg_catalog.pg_class as relation on relation.oid = attrelid
            where attnum > 0 and not attisdropped and relation.relkind = 'r'
            """
        ):
            found.setdefault((schema, table), {})[column] = type_name
        return found

    def type_name(self, name: str) -> str:
        """PostgreSQL's own name of a type: `timestamp with time zone` for `timestamptz`."""
        return str(self.rows(f"select '{name}'::regtype::text")[0][0])

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query finds in the warehouse."""
        with closing(self.warehouse.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def project(server: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    name = f"docs_{secrets.token_hex(6)}"
    _execute(server, f"create database {name} template template0")
    warehouse = replace(server, dbname=name)
    try:
        Models(warehouse, tmp_path_factory.mktemp("state")).reset()
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
        *((name, node) for name, node in manifest["nodes"].items() if node["resource_type"] in ("model", "test")),
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
    for node in [*_relations(project), *project.manifest["sources"].values()]:
        relation = node["schema"], node.get("identifier") or node["name"]
        assert node["columns"].keys() == actual[relation].keys(), relation
        types = {name: column["data_type"] for name, column in node["columns"].items() if column["data_type"]}
        # A type is said where a contract holds it; elsewhere the docs site shows the warehouse's own.
        expected = actual[relation] if node["resource_type"] == "model" and node["contract"]["enforced"] else {}
        assert {name: project.type_name(type_name) for name, type_name in types.items()} == expected, relation
        undescribed = [name for name, column in node["columns"].items() if not column["description"].strip()]
        assert undescribed == [], relation


def test_what_is_published_is_public_and_under_a_contract(project: Project) -> None:
    published = _published(project)
    assert len(published) > 20
    assert published == {
        node["name"] for node in _models(project) if node["contract"]["enforced"] and node["access"] == "public"
    }
    assert published == {node["name"] for node in _models(project) if node["schema"] in ("marts", "learners")}


def test_the_schema_of_learners_holds_what_names_them(project: Project) -> None:
    nodes = [node for node in project.manifest["nodes"].values() if node["resource_type"] != "test"]
    assert {node["name"] for node in nodes if node["schema"] == "learners"} == PERSONAL
    assert {node["schema"] for node in nodes} == {"staging", "marts", "learners"}


def test_a_macro_documents_all_its_arguments_or_none(project: Project) -> None:
    for name, macro in project.manifest["macros"].items():
        signature = re.search(r"{%-?\s*(?:macro|test)\s+\w+\((.*?)\)", macro["macro_sql"], re.DOTALL)
        assert signature, name
        expected = [argument.split("=")[0].strip() for argument in signature[1].split(",") if argument.strip()]
        assert [argument["name"] for argument in macro["arguments"]] in ([], expected), name
        assert all(argument["description"] and argument["type"] for argument in macro["arguments"]), name


def test_every_model_tests_its_key(project: Project) -> None:
    tested = {
        node["attached_node"]
        for node in project.manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in KEY_TESTS
    }
    assert {name for name in tested if name.startswith("model.")} == {node["unique_id"] for node in _relations(project)}


def test_every_exposure_names_its_owner_and_together_they_name_what_is_read(project: Project) -> None:
    exposures = project.manifest["exposures"].values()
    assert all(exposure["owner"]["name"] for exposure in exposures)
    code = "".join(path.read_text() for path in (PROJECT.parent / "orchestration" / "deliver").rglob("*.py"))
    read = {f"model.grader.{name}" for name in re.findall(r"(?:from|join) (?:marts|learners)\.(\w+)", code)}
    assert len(read) >= 4
    assert read == {node for exposure in exposures for node in exposure["depends_on"]["nodes"]}


def test_every_doc_block_is_used(project: Project) -> None:
    used = set(re.findall(r"doc\('(\w+)'\)", "".join(path.read_text() for path in PROJECT.glob("models/**/*.yml"))))
    assert {doc["name"] for doc in project.manifest["docs"].values()} - {"__overview__"} == used


def test_the_descriptions_name_only_what_there_is(project: Project) -> None:
    texts = "\n".join(_descriptions(project.manifest))
    relations = {f"{schema}.{table}" for schema, table in project.columns()}
    named = set(re.findall(r"`((?:raw|staging|marts|learners)\.[a-z_]+)`", texts))
    assert named, "the descriptions name no relation at all"
    assert named <= relations
    targets = set(re.findall(r"^([a-z-]+):.*##", (PROJECT.parent / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", texts)) <= targets


def test_the_descriptions_name_only_words_of_the_code(project: Project) -> None:
    named = {
        name
        for text in _descriptions(project.manifest)
        for names in re.findall(r"`(\w+)`|\b(_?[a-z0-9]+(?:_+[a-z0-9]+)+)\b", _without_examples(text))
        for name in names
        if name and name == name.lower()
    }
    assert len(named) > 100
    assert named - _words_of_the_code(project.manifest) - NAMED_ELSEWHERE == set()


def test_the_descriptions_send_nobody_to_a_part_of_a_model_that_is_gone(project: Project) -> None:
    code = {node["name"]: node["raw_code"] for node in _models(project)}
    sent = [
        (part, model)
        for text in _descriptions(project.manifest)
        for part, model in re.findall(r"`(\w+)` in (?:the model )?`?(\w+)", " ".join(text.split()))
        if model in code
    ]
    assert sent
    assert [(part, model) for part, model in sent if not re.search(rf"\b{part}\b", code[model])] == []


def test_the_descriptions_name_only_macros_that_there_are(project: Project) -> None:
    texts = " ".join(" ".join(text.split()) for text in _descriptions(project.manifest))
    named = re.findall(r"\b[Mm]acros? `?(\w+)`?(?:(?:, | and )`?(\w+_\w+)`?)*", texts)
    macros = {macro["name"] for macro in project.manifest["macros"].values()}
    assert named
    assert {name for names in named for name in names if name} - macros == set()


def test_the_home_page_explains_every_mart_and_every_reason(project: Project) -> None:
    page = project.manifest["docs"]["doc.grader.__overview__"]["block_contents"]
    marts = {f"{node['schema']}.{node['name']}" for node in _models(project) if node["name"] in _published(project)}
    assert {mart for mart in marts if f"`{mart}`" not in page} == set()
    (reasons,) = project.run(
        "compile", "--inline", "{{ rejection_rules() | map('first') | join(' ') }}"
    ).compiled.values()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == ["not_an_object", *reasons.split()]


def test_every_analysis_runs(project: Project) -> None:
    compiled = project.run("compile", "--select", "path:analyses").compiled
    assert len(compiled) == len(list((PROJECT / "analyses").glob("*.sql"))) > 10
    for query in compiled.values():
        project.rows(query)


def _models(project: Project) -> list[dict[str, Any]]:
    return [node for node in project.manifest["nodes"].values() if node["resource_type"] == "model"]


def _relations(project: Project) -> list[dict[str, Any]]:
    """The models that are tables; an ephemeral one is a part of those that read it."""
    return [node for node in _models(project) if node["config"]["materialized"] != "ephemeral"]


def _published(project: Project) -> set[str]:
    return {node["name"] for node in _models(project) if node["fqn"][1] == "marts" and node["fqn"][2] in PUBLISHED}


def _descriptions(manifest: dict[str, Any]) -> Iterable[str]:
    for kind in ("nodes", "sources", "macros", "exposures", "unit_tests"):
        for node in manifest[kind].values():
            yield node["description"]
            yield from (column["description"] for column in node.get("columns", {}).values())
            yield from (argument["description"] for argument in node.get("arguments", []))
    yield from (doc["block_contents"] for doc in manifest["docs"].values())


def _without_examples(text: str) -> str:
    return re.sub(r"Examples?: .*", "", text, flags=re.DOTALL)


def _words_of_the_code(manifest: dict[str, Any]) -> set[str]:
    """Every name in the SQL of the project, comments left out, and in what dbt knows of it."""
    comments = re.compile(r"{#.*?#}|--[^\n]*", re.DOTALL)
    folders = ("macros", "models", "tests")
    paths = [path for folder in folders for path in (PROJECT / folder).glob("**/*.sql")]
    code = [comments.sub("", path.read_text()) for path in paths]
    code.append((PROJECT / "dbt_project.yml").read_text())
    names = [node["name"] for kind in ("nodes", "sources", "macros") for node in manifest[kind].values()]
    columns = [name for node in manifest["sources"].values() for name in node["columns"]]
    return set(re.findall(r"\w+", "\n".join([*code, *names, *columns])))


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
    results = result.result.results
    return Outcome(
        {node.node.unique_id: str(node.status) for node in results},
        {node.node.unique_id: node.node.compiled_code for node in results if hasattr(node.node, "compiled_code")},
        complaints,
    )


def _execute(warehouse: Warehouse, statement: str) -> None:
    with closing(warehouse.connect(application_name="tests")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)

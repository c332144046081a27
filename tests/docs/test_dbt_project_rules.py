"""The dbt project keeps dbt Labs' conventions, those of dbt-project-evaluator; exceptions are listed with a reason.

The rules look at what `dbt parse` finds, so that neither a database nor a package is needed. One is left out: marts are
not called `fct_` or `dim_`, because their names are public and used by sheets, roles and people's queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LONGEST_MODEL = 120
# Tests that make a model's key unique, by the names of their macros.
KEY_TESTS = {"unique", "unique_by_index", "one_row"}

# What a rule finds and why it stays, by the rule's name.
COMPLETED = "a record counts only once its load has ended, so each record is joined to the completed loads"
AS_OF = "the last full day is one row that is joined wherever days are counted"
STEP = "one step of a mart that counts other things over the same facts"
EXCEPTIONS = {
    "source_directory": {
        "raw": "the source is named like its public schema, the folder like the system it comes from",
    },
    "staging_reads_one_source": {
        "stg_grader__attempts": COMPLETED,
        "stg_grader__fetches": COMPLETED,
    },
    "rejoining": {
        "rejected_attempts": "receipts count what was rejected against what was staged: both are needed",
        "load_receipts": "a day's figures are judged beside its rejected records: both are needed",
        "learner_courses": AS_OF,
        "courses": "the runs of a task are named by its course and counted over tasks",
        "int_learner_courses": AS_OF,
        "int_strong_learners": STEP,
        "int_task_solutions": STEP,
        "int_warnings": AS_OF,
    },
}


class Project:
    """The manifest, reduced to this project's models."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        nodes = [node for node in manifest["nodes"].values() if node["package_name"] == "grader"]
        self.models = {node["unique_id"]: node for node in nodes if node["resource_type"] == "model"}
        self.tests = [node for node in nodes if node["resource_type"] == "test"]
        self.sources: dict[str, dict[str, Any]] = manifest["sources"]

    def layer(self, model: dict[str, Any]) -> str:
        """The first folder below `models`: staging, intermediate, marts."""
        return str(model["fqn"][1])

    def parents(self, model: dict[str, Any]) -> set[str]:
        return {*model["depends_on"]["nodes"]}

    def model_parents(self, model: dict[str, Any]) -> set[str]:
        return self.parents(model) & self.models.keys()

    def children(self, unique_id: str) -> list[dict[str, Any]]:
        return [model for model in self.models.values() if unique_id in self.parents(model)]

    def key_tests(self, unique_id: str) -> list[dict[str, Any]]:
        return [
            test
            for test in self.tests
            if test.get("attached_node") == unique_id and test["test_metadata"]["name"] in KEY_TESTS
        ]


@pytest.fixture(scope="module")
def project(parsed: dict[str, Any]) -> Project:
    return Project(parsed)


# Each rule yields the names of what breaks it.


def layers(project: Project) -> Iterator[str]:
    """Every model is in a folder of its layer, and called like it."""
    for model in project.models.values():
        folder, name = model["fqn"][-2], model["name"]
        prefix = {"staging": f"stg_{folder}__", "intermediate": "int_", "marts": "", "team": ""}
        others = ("stg_", "int_") if project.layer(model) in ("marts", "team") else ()
        if not name.startswith(prefix.get(project.layer(model), "?")) or name.startswith(others):
            yield name


def source_directory(project: Project) -> Iterator[str]:
    """A source is described in the folder of its staging models, called like it."""
    for name, path in {(source["source_name"], source["path"]) for source in project.sources.values()}:
        if Path(path).parts[-2] != name:
            yield name


def sources_are_used(project: Project) -> Iterator[str]:
    """A source's table is read by some model."""
    for unique_id, source in project.sources.items():
        if not project.children(unique_id):
            yield source["name"]


def source_fanout(project: Project) -> Iterator[str]:
    """A source's table is read by one model only."""
    for unique_id, source in project.sources.items():
        if len(project.children(unique_id)) > 1:
            yield source["name"]


def only_staging_reads_sources(project: Project) -> Iterator[str]:
    """Marts and intermediate models read models."""
    for model in project.models.values():
        if project.layer(model) != "staging" and project.parents(model) & project.sources.keys():
            yield model["name"]


def staging_reads_one_source(project: Project) -> Iterator[str]:
    """A staging model reads one table of a source and nothing else."""
    for model in project.models.values():
        if project.layer(model) == "staging":
            read = project.parents(model)
            if len(read & project.sources.keys()) != 1 or project.model_parents(model):
                yield model["name"]


def root_models(project: Project) -> Iterator[str]:
    """Every model reads something."""
    for model in project.models.values():
        if not project.parents(model):
            yield model["name"]


def hard_coded_references(project: Project) -> Iterator[str]:
    """Relations are named by ref and source, so that dbt knows the order and the schema."""
    for model in project.models.values():
        code = re.sub(r"\{\{.*?\}\}|\{#.*?#\}|\{%.*?%\}|--[^\n]*", " ", model["raw_code"], flags=re.DOTALL)
        for schema in re.findall(r"\b(?:from|join)\s+\"?(\w+)\"?\.\"?\w+", code, re.IGNORECASE):
            if schema != "pg_catalog":
                yield model["name"]


def rejoining(project: Project) -> Iterator[str]:
    """What a model hands on to one model only, that model doesn't read from the model's own parent as well."""
    for unique_id, model in project.models.items():
        children = project.children(unique_id)
        if len(children) == 1 and project.model_parents(children[0]) & project.model_parents(model):
            yield model["name"]


def descriptions(project: Project) -> Iterator[str]:
    """Every model and source is described."""
    for node in (*project.models.values(), *project.sources.values()):
        if not node["description"].strip():
            yield node["name"]


def keys(project: Project) -> Iterator[str]:
    """Every model's key is tested, save of an ephemeral one, which has no rows of its own."""
    for unique_id, model in project.models.items():
        if model["config"].get("materialized") != "ephemeral" and not project.key_tests(unique_id):
            yield model["name"]


def public_contracts(project: Project) -> Iterator[str]:
    """A public model has a contract."""
    for model in project.models.values():
        if model["config"]["access"] == "public" and not model["config"]["contract"]["enforced"]:
            yield model["name"]


def length(project: Project) -> Iterator[str]:
    """A model fits on a few screens."""
    for model in project.models.values():
        if len(model["raw_code"].splitlines()) > LONGEST_MODEL:
            yield model["name"]


RULES = [
    *(layers, source_directory, sources_are_used, source_fanout, only_staging_reads_sources),
    *(staging_reads_one_source, root_models, hard_coded_references, rejoining, descriptions, keys),
    *(public_contracts, length),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Any, project: Project) -> None:
    excepted = EXCEPTIONS.get(rule.__name__, {})
    found = {*rule(project)}

    assert not found - excepted.keys(), rule.__doc__
    assert not excepted.keys() - found, "these exceptions are no longer needed"


def made_up_model(path: str, reads: str = "", code: str = "select 1", public: bool = False) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {
        "unique_id": name,
        "name": name,
        "package_name": "grader",
        "resource_type": "model",
        "fqn": ["grader", *path.split("/")],
        "depends_on": {"nodes": reads.split()},
        "raw_code": code,
        "description": "",
        "config": {"access": "public" if public else "protected", "contract": {"enforced": False}},
    }


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (layers, {"int_lost"}),
        (source_directory, {"lms"}),
        (sources_are_used, {"unused"}),
        (source_fanout, {"users"}),
        (only_staging_reads_sources, {"greedy"}),
        (staging_reads_one_source, {"stg_lms__more"}),
        (root_models, {"rootless"}),
        (hard_coded_references, {"rootless"}),
        (rejoining, {"between"}),
        (descriptions, {"greedy", "long", "stg_lms__users", "unused"}),
        (keys, {"greedy", "long", "stg_lms__users"}),
        (public_contracts, {"long"}),
        (length, {"long"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_breaks_a_rule_is_found(rule: Any, found: set[str]) -> None:
    models = [
        made_up_model("staging/lms/stg_lms__users", "users"),
        made_up_model("staging/lms/stg_lms__more", "users stg_lms__users"),
        made_up_model("marts/int_lost", "stg_lms__more"),
        made_up_model("marts/greedy", "users"),
        made_up_model("marts/rootless", code="select * from raw.users -- from {{ ref('x') }}"),
        made_up_model("intermediate/int_start", "stg_lms__users stg_lms__more"),
        made_up_model("marts/between", "int_start"),
        made_up_model("marts/long", "int_start between", "select 1\n" * 121, public=True),
    ]
    source = {"source_name": "lms", "path": "models/staging/other/_sources.yml", "description": ""}
    sources = {name: {**source, "name": name} for name in ("users", "unused")}
    project = Project({"nodes": {model["name"]: model for model in models}, "sources": sources})

    assert found <= {*rule(project)}


def test_every_exception_is_of_a_rule() -> None:
    assert EXCEPTIONS.keys() <= {rule.__name__ for rule in RULES}

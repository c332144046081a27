"""README, docs, `.env.example`, Makefile and code say the same."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.commands.arguments import COMMANDS
from orchestration.erasure import RELATIONS
from orchestration.settings import NAMES, ROOT, Settings, read_settings

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PROJECT = ROOT / "dbt_project"
ROOMS = ("ingestion", "orchestration", "embedded")
DOCUMENTS = [ROOT / "README.md", ROOT / "README.ru.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
# Named in the documents, but made by a run.
GENERATED = {"dbt_project/target"}
# Read where they are used, for they are no settings of the product: an analyst's prefix, the demo's size.
SPECIAL = {"GRADER_DBT_SCHEMA", "DEMO_SCALE"}


def section(title: str, text: str = REFERENCE) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def listed_settings() -> dict[str, str]:
    """The settings in the reference's table with their defaults, '' for unset."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", section("Settings"), re.MULTILINE)
    return {name: default.strip("`") if default.startswith("`") else "" for name, default in rows}


def example_settings() -> dict[str, str]:
    """The settings in `.env.example` with their defaults, '' for unset."""
    text = (ROOT / ".env.example").read_text("utf-8")
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))


def targets() -> set[str]:
    """The targets that the Makefile declares."""
    return {name for line in re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE) for name in line.split()}


def recipe(target: str) -> str:
    """What the Makefile runs for a target."""
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n?)*)", MAKEFILE, re.MULTILINE)
    return found[1] if found else ""


def make(*arguments: str) -> str:
    """What make prints, as if nobody had started these tests through make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def fences() -> Iterator[tuple[Path, str]]:
    """Every code block of the documents."""
    for document in DOCUMENTS:
        for block in re.findall(r"^ *```\w*\n(.*?)^ *```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            yield document, block


def test_the_reference_the_example_and_the_code_know_the_same_settings() -> None:
    assert list(listed_settings()) == list(NAMES)
    assert sorted(example_settings()) == sorted(NAMES)


def test_the_reference_and_the_example_give_the_same_defaults() -> None:
    assert listed_settings() == example_settings()


# What has to be set for a default to show.
GROUPS = {
    "POSTGRES_": {"POSTGRES_HOST": "db.example", "POSTGRES_DB": "grader", "POSTGRES_USER": "elt"},
    "SMTP_": {
        "SMTP_HOST": "mail.example",
        "EMAIL_FROM": "elt@school.example",
        "EMAIL_TO": "boss@school.example",
    },
}


@pytest.mark.parametrize("name", [name for name, default in example_settings().items() if default])
def test_a_default_is_what_the_code_takes(tmp_path: Path, name: str) -> None:
    def read(**settings: str) -> Settings:
        group = next((group for prefix, group in GROUPS.items() if name.startswith(prefix)), {})
        return read_settings({**group, **settings}, tmp_path / ".env")

    assert read(**{name: example_settings()[name]}) == read()


def test_the_example_is_a_file_that_sets_nothing(tmp_path: Path) -> None:
    copy = tmp_path / ".env"
    copy.write_bytes((ROOT / ".env.example").read_bytes())
    assert read_settings({}, copy) == read_settings({}, tmp_path / "missing")


def test_every_line_of_the_example_can_be_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^# ([A-Z_]+=.*)$", r"\1", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE)
    # The port and the like belong to a server.
    for name, value in {**GROUPS["POSTGRES_"], **GROUPS["SMTP_"]}.items():
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    copy = tmp_path / ".env"
    copy.write_text(text)
    settings = read_settings({}, copy)
    assert settings.warehouse is not None
    assert settings.mail is not None


def test_the_reference_the_help_and_the_makefile_know_the_same_targets() -> None:
    helped = re.findall(r"^  make ([a-z-]+)", make("help"), re.MULTILINE)
    listed = re.findall(r"^\| `make ([a-z-]+)` \|", section("Commands"), re.MULTILINE)
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(helped)
    assert set(listed) == targets()


def test_make_alone_lists_the_targets() -> None:
    assert make() == make("help")


def test_every_target_has_a_recipe() -> None:
    assert [target for target in sorted(targets()) if not recipe(target)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_target(command: str) -> None:
    assert re.search(rf"^\t@?\$\(ELT\) {command}( |$)", recipe(command), re.MULTILINE)


@pytest.mark.parametrize(("document", "block"), [(path.name, block) for path, block in fences()])
def test_code_blocks_use_targets_and_files_that_exist(document: str, block: str) -> None:
    used = set(re.findall(r"\bmake ([a-z-]+)", block))
    assert used <= targets(), document
    commands = set(re.findall(r"-m orchestration ([a-z-]+)", block))
    assert commands <= set(COMMANDS), document


def test_commands_in_the_running_text_exist() -> None:
    for document in DOCUMENTS:
        used = set(re.findall(r"`make ([a-z-]+)", document.read_text("utf-8")))
        assert used <= targets(), document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_a_document_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    named = re.findall(r"`((?:orchestration|ingestion|embedded|dbt_project|docs|tests)/[\w./]*)`", text)
    assert [path for path in named if not (ROOT / path).exists() and path not in GENERATED] == []


def test_files_named_where_to_change_something_exist() -> None:
    named = re.findall(r"`((?:models|macros)/[\w./]*)`", section("Where do I change …", DEVELOPMENT))
    assert named
    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_lines_are_wrapped(document: Path) -> None:
    text = document.read_text("utf-8")
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120] == []
    assert [line for line in prose.splitlines() if len(line) > 100 and not line.startswith("|")] == []


def picture() -> list[str]:
    """What a record meets on its way, from top to bottom: files and relations."""
    found = re.search(r"```text\n(.*?)```", section("A record's way", ARCHITECTURE), re.DOTALL)
    assert found is not None
    return [name for line in found[1].splitlines() for name in re.findall(r"[\w/]+\.\w+", line.split("  ")[0])]


@pytest.fixture(scope="module")
def reads(parsed: dict[str, Any]) -> dict[str, set[str]]:
    """What each relation that dbt builds or reads from raw is made from, what is inlined looked through."""
    nodes = {**parsed["nodes"], **parsed["sources"]}
    kinds = ("model", "snapshot", "source")
    shown = {name: node for name, node in nodes.items() if node["resource_type"] in kinds and not inlined(node)}

    def parents(node: dict[str, Any]) -> Iterator[str]:
        for name in node.get("depends_on", {}).get("nodes", []):
            if name in shown:
                yield relation(nodes[name])
            elif inlined(nodes[name]):
                yield from parents(nodes[name])

    return {relation(node): {*parents(node)} for node in shown.values()}


def inlined(node: dict[str, Any]) -> bool:
    return bool(node["config"].get("materialized") == "ephemeral")


def relation(node: dict[str, Any]) -> str:
    return f"{node['schema']}.{node['name']}"


def test_the_picture_shows_files_that_exist_and_every_relation(reads: dict[str, set[str]]) -> None:
    files = [name for name in picture() if "/" in name]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert sorted(name for name in picture() if "/" not in name) == sorted(reads)


def test_no_relation_of_the_picture_is_made_from_one_below_it(reads: dict[str, set[str]]) -> None:
    above: set[str] = set()
    for name in picture():
        assert reads.get(name, set()) <= above, name
        above.add(name)


def test_forgetting_reaches_every_relation_that_names_learners(parsed: dict[str, Any]) -> None:
    # The seed is a file first, which `make forget` tells of.
    named = {
        relation(node)
        for node in parsed["nodes"].values()
        if not inlined(node) and {"user_id", "record"} & node.get("columns", {}).keys()
    } - {"learners.excluded_learners"}
    assert named | {"raw.attempts"} == set(RELATIONS)


def test_the_stages_run_in_the_order_documented() -> None:
    stages = re.search(r"ingest → build → deliver", ARCHITECTURE)
    assert stages is not None
    tree = ast.parse((ROOT / "orchestration" / "run.py").read_text("utf-8"))
    [everything] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "everything"]
    called = [
        (node.lineno, node.func.attr)
        for node in ast.walk(everything)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    order = stages[0].split(" → ")
    assert [name for _, name in sorted(called) if name in order] == order


def sources() -> list[Path]:
    """The product's Python modules."""
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports by absolute names, and whether that is inside a function."""
    tree = ast.parse(path.read_text("utf-8"))
    inner = {
        node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in inner
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, path
            yield node.module, node in inner
            # A name imported from a package may be a module of it.
            for alias in node.names:
                as_module = ROOT.joinpath(*node.module.split("."), alias.name)
                if as_module.with_suffix(".py").exists() or as_module.is_dir():
                    yield f"{node.module}.{alias.name}", node in inner


def as_path(module: str) -> str:
    """A module of ours as the documents name it: `ingestion/api.py`, a package with a slash at its end."""
    path = module.replace(".", "/")
    return f"{path}/" if (ROOT / path).is_dir() else f"{path}.py"


def rooms() -> dict[str, set[str]]:
    """The rooms of the list with what they may import."""
    text = section("Rooms", ARCHITECTURE)
    rows = re.findall(r"^- `([a-z/]+/)` imports (.*?)\.\s", text, re.MULTILINE | re.DOTALL)
    return {room: set(re.findall(r"`([a-z_]+/[a-z_./]*)`", allowed)) for room, allowed in rows}


def test_the_rooms_are_those_of_the_code() -> None:
    assert {room.split("/")[0] for room in rooms()} == set(ROOMS)


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_imports_only_what_is_documented(room: str) -> None:
    inner_rooms = [other for other in rooms() if other != room and other.startswith(room)]
    seen = set()
    for path in (ROOT / room).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        for module, in_function in imported(path):
            if module.split(".")[0] not in ROOMS:
                continue
            target = as_path(module)
            if room == "orchestration/" and target.startswith("embedded/"):
                assert (name, in_function) == ("orchestration/wiring.py", True), target
            if any(name.startswith(inner) for inner in inner_rooms) or target.startswith(room):
                continue
            # The package above a module that is allowed.
            if any(allowed != target and allowed.startswith(target) for allowed in rooms()[room]):
                continue
            used = {allowed for allowed in rooms()[room] if target.startswith(allowed)}
            assert used, f"{name} imports {target}"
            seen |= used
    assert seen == rooms()[room]


def test_libraries_stay_in_their_rooms() -> None:
    homes = {"dlt": "ingestion/", "dbt": "orchestration/build/", "dbt_metricflow": "orchestration/build/"}
    used = {
        (library, home, path.relative_to(ROOT).as_posix())
        for path in sources()
        for module, _ in imported(path)
        for library, home in homes.items()
        if module.split(".")[0] == library
    }
    assert {library for library, _, _ in used} == set(homes)
    assert [(library, name) for library, home, name in used if not name.startswith(home)] == []


def test_deliveries_leave_the_environment_alone() -> None:
    paths = list((ROOT / "orchestration" / "deliver").rglob("*.py"))
    assert paths
    assert [path for path in paths if re.search(r"\b(environ|getenv|read_settings)\b", path.read_text("utf-8"))] == []


def test_every_undocumented_module_is_listed() -> None:
    documented = {"dlt", "dbt", "dbt.cli.main", "dotenv"}
    used = {
        (path.relative_to(ROOT).as_posix(), module)
        for path in sources()
        for module, _ in imported(path)
        if module.split(".")[0] in ("dlt", "dbt", "dbt_common", "dbt_metricflow", "dotenv") and module not in documented
    }
    text = section("What is used without being documented", ARCHITECTURE)
    assert used == set(re.findall(r"^\| `([\w/.]+)` \| `([\w.]+)` \|", text, re.MULTILINE))


def variables_read(source: Path) -> Iterator[str]:
    """The names that a module asks the environment for."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get" | "pop" | "setdefault"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))):
                yield name


def test_settings_are_read_in_one_module() -> None:
    read = {name: path for path in sources() for name in variables_read(path)}
    assert set(read) & set(NAMES) == set()
    # The check itself sees something.
    assert set(read) >= SPECIAL


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_the_special_variables_are_documented(name: str) -> None:
    assert f"`{name}`" in section("Settings")

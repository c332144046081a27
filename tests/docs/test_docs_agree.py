"""README, `.env.example`, Makefile and code say the same."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.commands.arguments import COMMANDS
from orchestration.settings import NAMES, ROOT, Settings, read_settings

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
# Read where they are used, for they are no settings of the product: an analyst's prefix, the demo's size.
SPECIAL = {"GRADER_DBT_SCHEMA", "DEMO_SCALE"}


def section(title: str) -> str:
    """The README's text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the README has no section {title!r}"
    return found[1]


def readme_settings() -> dict[str, str]:
    """The settings in the README's table with their defaults, '' for unset."""
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
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def fences() -> Iterator[tuple[Path, str]]:
    """Every code block of the documents."""
    for document in DOCUMENTS:
        for block in re.findall(
            r"^ *```\w*\n(.*?)^ *```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            yield document, block


def test_the_readme_the_example_and_the_code_know_the_same_settings() -> None:
    assert list(readme_settings()) == list(NAMES)
    assert sorted(example_settings()) == sorted(NAMES)


def test_the_readme_and_the_example_give_the_same_defaults() -> None:
    assert readme_settings() == example_settings()


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


def test_the_readme_the_help_and_the_makefile_know_the_same_targets() -> None:
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


def test_files_named_in_the_readme_exist() -> None:
    named = re.findall(r"`((?:orchestration|ingestion|embedded|dbt_project|docs)/[\w./]*)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


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
    sources = [
        path for room in ("ingestion", "orchestration", "embedded") for path in (ROOT / room).rglob("*.py")
    ]
    read = {name: path for path in sources for name in variables_read(path)}
    assert set(read) & set(NAMES) == set()
    # The check itself sees something.
    assert set(read) >= SPECIAL


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_the_special_variables_are_documented(name: str) -> None:
    assert f"`{name}`" in section("Settings")

"""A clone to use the product in as its users do: commands as processes, nothing configured but what a test says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from embedded import postgres
from ingestion.warehouse import Warehouse
from tests.ingestion.fake_api import KEY, FakeApi

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (
    ".git",
    ".venv",
    ".env",
    ".state",
    "out",
    "logs",
    "target",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)


@dataclass
class Clone:
    """A copy of the repository in a folder of its own, with this virtual environment; `settings` go to every command."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)

    def command(
        self, *words: str, cwd: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone and wait for it; its output is kept, whatever its exit code."""
        home = self.path.parent / "home"
        home.mkdir(exist_ok=True)
        path = os.pathsep.join([str(self.path / ".venv" / "bin"), os.environ["PATH"]])
        return subprocess.run(
            words,
            cwd=cwd or self.path,
            env={"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **self.settings, **settings},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def elt(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """`python -m orchestration …`."""
        return self.command(
            str(self.path / ".venv/bin/python"), "-m", "orchestration", *arguments, **settings
        )

    def make(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """`make …`."""
        return self.command("make", *arguments, **settings)

    def use(self, warehouse: Warehouse) -> None:
        """Set POSTGRES_* to this database."""
        self.settings |= {
            "POSTGRES_HOST": warehouse.host,
            "POSTGRES_PORT": str(warehouse.port),
            "POSTGRES_DB": warehouse.dbname,
            "POSTGRES_USER": warehouse.user,
            "POSTGRES_PASSWORD": warehouse.password,
        }

    def ask(self, api: FakeApi) -> None:
        """Set API_* to this API."""
        self.settings |= {"API_URL": api.url, "API_CLIENT": "Skillfactory", "API_CLIENT_KEY": KEY}

    @property
    def log(self) -> str:
        """All that was logged."""
        return "".join(path.read_text("utf-8") for path in sorted((self.path / "logs").glob("*.log")))

    @property
    def mails(self) -> list[Path]:
        """The mails written, oldest first."""
        return sorted((self.path / "out" / "mail").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    connection = warehouse.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def exists(warehouse: Warehouse, relation: str) -> bool:
    """Whether there is such a table."""
    try:
        rows(warehouse, f"select 1 from {relation} limit 1")
    except psycopg2.errors.UndefinedTable:
        return False
    return True


def make_clone(folder: Path) -> Clone:
    """A copy of the working tree in `folder`, which is made."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return Clone(folder)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A clone in a folder with spaces in its name; its database, if it starts one, is stopped afterwards."""
    clone = make_clone(tmp_path / "a clone")
    yield clone
    postgres.stop(clone.path / ".state")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which `make run` was typed once, with nothing configured."""
    clone = make_clone(tmp_path_factory.mktemp("demo") / "my clone")
    try:
        done = clone.make("run")
        assert done.returncode == 0, done.stderr + done.stdout
        (clone.path / "first-screen.txt").write_text(done.stdout)
        yield clone
    finally:
        postgres.stop(clone.path / ".state")


@pytest.fixture
def grader() -> Iterator[FakeApi]:
    """A grader's API with nothing in it yet."""
    with FakeApi().serving() as api:
        yield api

"""A clone of the repository to use the product in as its users do, and questions to its warehouse."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from ingestion.warehouse import Warehouse
from tests.ingestion.fake_api import KEY, FakeApi

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (
    *(".git", ".venv", ".env", ".state", "out", "logs", "target"),
    *("__pycache__", ".*_cache", ".hypothesis"),
)


@dataclass
class Clone:
    """A copy of the repository in a folder of its own, with this virtual environment.

    `settings` go to every command; nothing else is configured.
    """

    path: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of a command, with further settings."""
        path = os.pathsep.join([str(self.path / ".venv" / "bin"), os.environ["PATH"]])
        home = self.path.parent / "home"
        home.mkdir(exist_ok=True)
        # Without a terminal the product would wait out every outage that a test makes.
        basis = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "RETRY_FOR": "0"}
        return {**basis, **self.settings, **settings}

    def command(self, *words: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone and wait for it; its output is kept, whatever its exit code."""
        return subprocess.run(
            words,
            cwd=cwd or self.path,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def elt(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """`python -m orchestration …`."""
        return self.command(str(self.path / ".venv/bin/python"), "-m", "orchestration", *arguments, **settings)

    def make(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """`make …`."""
        return self.command("make", *arguments, **settings)

    def dbt(self, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """`dbt …` as an analyst types it, in the project's folder."""
        return self.command("dbt", *arguments, cwd=self.path / "dbt_project", **settings)

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

    def forget(self) -> None:
        """Remove all settings, logs and deliveries."""
        self.settings.clear()
        (self.path / ".env").unlink(missing_ok=True)
        for name in ("logs", "out"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    @property
    def log(self) -> str:
        """Everything in the logs."""
        return "".join(path.read_text("utf-8") for path in sorted((self.path / "logs").glob("*.log")))

    @property
    def mails(self) -> list[Path]:
        """The mails written, oldest first."""
        return sorted((self.path / "out" / "mail").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)


def make_clone(folder: Path) -> Clone:
    """A copy of the working tree in `folder`, which is made."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return Clone(folder)


def rows(warehouse: Warehouse, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows a query finds, with times in UTC. Raises psycopg2.Error."""
    connection = warehouse.connect(options="-c timezone=UTC")
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, values or None)
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

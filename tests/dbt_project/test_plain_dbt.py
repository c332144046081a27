"""dbt itself, as an IDE or a program runs it: without the project's own command and with nothing exported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import postgres
from orchestration.build.dbt import PROJECT
from tests.embedded.postgres.servers import NOT_DURABLE


@pytest.fixture
def clone() -> Iterator[Path]:
    """A folder like a clone of the repository, with the embedded server running in it."""
    # A socket's path has to be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        shutil.copytree(PROJECT, Path(name) / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
        postgres.start(Path(name) / ".state", NOT_DURABLE, "demo")
        yield Path(name)
        postgres.stop(Path(name) / ".state")


def test_it_reaches_the_embedded_server(clone: Path) -> None:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "GRADER_", "POSTGRES_"))
    }
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "debug", "--connection", "--no-use-colors"]
    done = subprocess.run(
        command,
        cwd=clone / "dbt_project",
        env=inherited | {"HOME": str(clone)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Connection test: [OK connection ok]" in done.stdout, done.stdout + done.stderr
    assert "database: demo" in done.stdout

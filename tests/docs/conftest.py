"""What dbt makes of the project without a database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from orchestration.build.dbt import PROJECT


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest of production, as `dbt parse` writes it."""
    target = tmp_path_factory.mktemp("parsed")
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", "prod"]
    done = dbtRunner().invoke(["--quiet", "parse", *folders, "--target-path", str(target), "--log-path", str(target)])
    assert done.success, done.exception
    found: dict[str, Any] = json.loads((target / "manifest.json").read_text("utf-8"))
    return found

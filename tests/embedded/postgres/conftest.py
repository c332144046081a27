"""State folders for embedded servers, which are stopped when their test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import postgres
from tests.embedded.postgres.servers import StateDir


@pytest.fixture
def state_dirs(tmp_path: Path) -> Iterator[StateDir]:
    """Names state folders below the test's own; whatever runs in them is stopped in the end."""
    named: list[Path] = []

    def name(path: str) -> Path:
        named.append(tmp_path / path)
        return named[-1]

    yield name
    for state_dir in named:
        postgres.stop(state_dir)


@pytest.fixture
def state_dir(state_dirs: StateDir) -> Path:
    return state_dirs(".state")

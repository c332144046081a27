"""State folders for embedded servers, which are stopped when their test is over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import postgres
from tests.embedded.postgres.servers import NOT_DURABLE, StateDir


@pytest.fixture(scope="session")
def used_state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which a server has run before: copying it takes less time than initdb."""
    state_dir = tmp_path_factory.mktemp("used") / ".state"
    postgres.start(state_dir, NOT_DURABLE)
    postgres.stop(state_dir)
    # Each copy takes the port that its path stands for.
    (state_dir / "postgres" / "port").unlink()
    return state_dir


@pytest.fixture
def new_state_dirs(tmp_path: Path) -> Iterator[StateDir]:
    """Names state folders below the test's own, to be made; whatever runs in them is stopped in the end."""
    named: list[Path] = []

    def name(path: str) -> Path:
        named.append(tmp_path / path)
        return named[-1]

    yield name
    for state_dir in named:
        postgres.stop(state_dir)


@pytest.fixture
def new_state_dir(new_state_dirs: StateDir) -> Path:
    return new_state_dirs(".state")


@pytest.fixture
def state_dirs(new_state_dirs: StateDir, used_state_dir: Path) -> StateDir:
    """The same with a database in them, whose server is down."""

    def name(path: str) -> Path:
        state_dir = new_state_dirs(path)
        state_dir.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", used_state_dir, state_dir], check=True)
        return state_dir

    return name


@pytest.fixture
def state_dir(state_dirs: StateDir) -> Path:
    return state_dirs(".state")

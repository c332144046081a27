"""Clones for the tests, and a grader's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded import postgres
from tests.end_to_end.clone import Clone, make_clone
from tests.ingestion.fake_api import FakeApi


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A clone in a folder with spaces in its name; its database, if it starts one, is stopped afterwards."""
    clone = make_clone(tmp_path / "a clone")
    yield clone
    postgres.stop(clone.path / ".state")


@pytest.fixture
def grader() -> Iterator[FakeApi]:
    """A grader's API with nothing in it yet."""
    with FakeApi().serving() as api:
        yield api

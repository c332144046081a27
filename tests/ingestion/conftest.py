"""What the tests of the ingestion share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ingestion.fake_api import FakeApi


@pytest.fixture
def grader() -> Iterator[FakeApi]:
    """An API with nothing in it yet."""
    with FakeApi().serving() as api:
        yield api

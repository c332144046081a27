"""How many rows PostgreSQL handles in a build: measured by its own count for each step of each plan, not by seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlparse

from orchestration.build import one_transaction

_COUNTED = re.compile(r"(?:insert|delete|merge)\b|create\s+(?:temporary\s+)?table\b.*?\bas\b", re.IGNORECASE | re.DOTALL)


@contextmanager
def rows_handled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """While it lasts, builds explain what they execute; the list takes the rows that each statement's steps gave or dropped."""
    counts: list[int] = []

    class Explaining(one_transaction.Cursor):
        def execute(self, query: Any, values: Any = None) -> None:
            text = str(query)
            if values is not None or "$$" in text or "as '" in text:
                return super().execute(query, values)
            for statement in sqlparse.split(text):
                bare = sqlparse.format(statement, strip_comments=True).strip()
                if not _COUNTED.match(bare):
                    super().execute(statement)
                    continue
                super().execute(f"explain (analyze, timing off, format json) {statement.rstrip(' ;')}")
                (((explained,),),) = self.fetchall()
                counts.append(_rows(explained["Plan"]))

    with monkeypatch.context() as patch:
        patch.setattr(one_transaction, "Cursor", Explaining)
        yield counts


def _rows(step: dict[str, Any]) -> int:
    dropped = sum(step.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
    own: float = (step["Actual Rows"] + dropped) * step["Actual Loops"]
    return round(own) + sum(map(_rows, step.get("Plans", ())))

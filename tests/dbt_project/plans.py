"""How many rows PostgreSQL handles in a build: its own count for each step of each plan, not
seconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestration.build import one_transaction

_COMMENT = re.compile(r"\s*/\*.*?\*/\s*", re.DOTALL)
_COUNTED = re.compile(
    r"\s*(?:(?:insert|delete|merge)\b|create\s+(?:temporary\s+)?table\b.*?\bas\b)", re.IGNORECASE | re.DOTALL
)


_MODEL = re.compile(r'"(\w+?)__dbt_tmp')


@contextmanager
def rows_handled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Let builds explain what they execute; counts for each model the rows that its statements'
    steps gave or dropped.
    """
    counts: Counter[str] = Counter()

    class Explaining(one_transaction.Cursor):
        def execute(self, query: Any, values: Any = None) -> None:
            statements = re.split(r";\s*\n", _COMMENT.sub("", str(query), count=1))
            if values is not None or not any(map(_COUNTED.match, statements)):
                super().execute(query, values)
                return
            for statement in filter(str.strip, statements):
                if _COUNTED.match(statement):
                    super().execute(f"explain (analyze, timing off, format json) {statement.rstrip().rstrip(';')}")
                    (((plan,),),) = self.fetchall()
                    found = _MODEL.search(statement)
                    counts[found[1] if found else ""] += _rows(plan["Plan"])
                else:
                    super().execute(statement)

    with monkeypatch.context() as patch:
        patch.setattr(one_transaction, "Cursor", Explaining)
        yield counts


def _rows(step: dict[str, Any]) -> int:
    dropped = sum(step.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
    of_step = int((step["Actual Rows"] + dropped) * step["Actual Loops"])
    return of_step + sum(map(_rows, step.get("Plans", ())))

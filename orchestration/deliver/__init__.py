"""Deliveries: what a run shows to people, and the ways it gets there.

What is shown (`figures`, `columns`, `words`, `answer`) is apart from its forms (`sheet`, `mail`)
and from who carries it: Google Sheets or a workbook file, an SMTP server or a folder. A sender gets
all it needs as arguments; none reads the environment. It has a `name` and a `target` for screen and
mail, `deliver` or `send`, and `check`, which proves, changing nothing, that a delivery can work.
"""

from dataclasses import dataclass

from orchestration.errors import EXIT_DELIVERY_FAILED, GraderError


class DeliveryError(GraderError):
    """A delivery failed. Raised outside of `except` blocks: no other exception hangs on it."""

    exit_code = EXIT_DELIVERY_FAILED


@dataclass(frozen=True)
class Links:
    """Where a reader finds more: addresses (http…) or paths of files, if any."""

    sheet: str | None = None
    report: str | None = None
    docs: str | None = None

"""What can go wrong between the API and committed raw rows.

Every message says what failed, where, and what to do. No error holds a secret: not in its text or
arguments, nor in `__cause__` or `__context__` (raisers leave their `except` block first).
"""

from collections.abc import Iterator

from ingestion.windows import Window


class IngestionError(Exception):
    """Base of everything this package raises on purpose.

    `outage`: a party was away or refused for now, so the same may go well later.
    """

    def __init__(self, message: str, outage: bool = False) -> None:
        super().__init__(message)
        self.outage = outage


class ApiError(IngestionError):
    """The grader's API did not answer a window with a list of records.

    `status_code` is None without an answer; `window` is what failed (it may be a half of a slice).
    """

    def __init__(self, message: str, status_code: int | None, window: Window, outage: bool = False) -> None:
        super().__init__(message, outage)
        self.status_code = status_code
        self.window = window


class WarehouseError(IngestionError):
    """The warehouse can't be reached, read or written."""


class LoadError(IngestionError):
    """A load did not reach the warehouse; the next run removes what is left of it and fetches again."""


class CancelledError(IngestionError):
    """Work was given up because another part of the same ingest failed first."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all behind it: what it was raised from, what it wraps."""
    seen: set[int] = set()
    stack = [error]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # urllib3 keeps what it wraps as `reason`; that of an SSLError is a text.
        behind = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
        stack.extend(link for link in behind if isinstance(link, BaseException))

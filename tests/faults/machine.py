"""How long the fault tests are, the patience of their commands, and waiting for a moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

LONG = os.environ.get("FAULTS") == "long"
# Seconds to wait for the API, and how often, in tests in which it fails.
IMPATIENT = {
    "connect": 1,
    "read": 0.5,
    "request": 1.5,
    "stalled": 6,
    "tries": 3,
    "backoff": 0.01,
    "backoff_most": 0.02,
    "retry_after_most": 0.1,
    "body_most": 4 << 20,
}


def until(happened: Callable[[], bool], timeout: float = 120, interval: float = 0.002) -> bool:
    """Wait until something has happened, looking every `interval` seconds; whether it has within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True

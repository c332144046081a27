"""Waiting out an outage of an outside party, with growing pauses and a limit (setting RETRY_FOR)."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, repeat

from orchestration.deliver.words import ENGLISH

logger = logging.getLogger(__name__)

PAUSES = (15, 30, 60, 120, 300, 600)


def is_outage(error: BaseException) -> bool:
    """Whether the same may go well later: a party was away, refused for now, or broke the line."""
    return bool(getattr(error, "outage", False))


class Patience:
    """How long an outage is waited out, counted from its first error up to `reset`."""

    def __init__(
        self,
        most: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._sleep, self._clock = most.total_seconds(), sleep, clock
        self.reset()

    def reset(self) -> None:
        """The outage is over: the next one has the whole time again."""
        self._pauses = chain(PAUSES, repeat(PAUSES[-1]))
        self._ends_at: float | None = None

    def wait(self, what: str, error: BaseException) -> bool:
        """Pause before another try of `what` failed by `error`; False when that is no use or the time is over."""
        if not is_outage(error) or not self._most:
            return False
        now = self._clock()
        if self._ends_at is None:
            self._ends_at = now + self._most
        left = self._ends_at - now
        if left <= 0:
            return False
        pause = min(next(self._pauses), left)
        logger.warning("%s: %s Trying again in %s.", what, error, ENGLISH.seconds(pause))
        self._sleep(pause)
        return True

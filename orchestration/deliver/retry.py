"""Patience with the parties that take deliveries: bounded retries, with a deadline."""

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

logger = logging.getLogger(__name__)

T = TypeVar("T")
_TRIES = 6
_BACKOFF = tenacity.wait_exponential_jitter(multiplier=2, max=600, jitter=2)


class TryFailed(Exception):
    """A try that failed; `again`: another may succeed, after the seconds the server asks for."""

    status: int | None = None

    def __init__(self, text: str, again: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.again = again
        self.retry_after = retry_after


def with_retries(
    name: str, act: Callable[[], T], deadline: float, sleep: Callable[[float], None], patience: float = 0
) -> T:
    """What `act` returns, after as many tries as it takes.

    Raises the last TryFailed: when trying again won't help, or when the next one would come after a
    few tries or later than `deadline` seconds after the first, and later than `patience` seconds,
    for which an outage is to be waited out.
    """
    few = tenacity.stop_after_attempt(_TRIES) | tenacity.stop_before_delay(deadline)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, TryFailed) and error.again),
        stop=few & tenacity.stop_before_delay(patience),
        wait=lambda state: max(_BACKOFF(state), _failure(state).retry_after or 0),
        sleep=sleep,
        before_sleep=lambda state: logger.warning(
            "%s: %s; retrying in %.0f s", name, _failure(state), state.upcoming_sleep
        ),
        reraise=True,
    )
    return retrying(act)


def _failure(state: tenacity.RetryCallState) -> TryFailed:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TryFailed)
    return error

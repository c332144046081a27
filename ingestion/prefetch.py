"""Do a few pieces of work at once, hand over their results strictly in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ingestion.errors import CancelledError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Prefetch(Generic[Item, Result]):
    """Runs `work` on each item in `threads` threads, never more than `ahead` items before the one handed over
    next.

    While results that wait weigh `budget` or more (by `weigh`), nothing new is begun but what is due next.
    The threads are daemons, so that a request that hangs does not keep a stopped process alive.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item], Result],
        weigh: Callable[[Result], int],
        threads: int,
        ahead: int,
        budget: int,
    ) -> None:
        self._items = items
        self._work = work
        self._weigh = weigh
        self._ahead = max(ahead, 1)
        self._budget = budget
        self._changed = threading.Condition()
        self._begun = 0
        self._taken = 0
        self._results: dict[int, Result] = {}
        self._failures: dict[int, BaseException] = {}
        self._weight = 0
        self._stopped = False
        for number in range(min(threads, len(items))):
            threading.Thread(target=self._run, name=f"fetch-{number}", daemon=True).start()

    def take(self, timeout: float | None = None) -> Result | None:
        """The next item's result; None when `timeout` seconds pass first.

        Raises what the work on it raised, CancelledError after `stop()`, and StopIteration's stand-in
        IndexError when all have been taken.
        """
        with self._changed:
            number = self._taken
            if number >= len(self._items):
                raise IndexError("Every result has been taken.")
            self._changed.wait_for(
                lambda: self._stopped or number in self._results or number in self._failures, timeout
            )
            if number in self._results:
                result = self._results.pop(number)
                self._weight -= self._weigh(result)
                self._taken += 1
                self._changed.notify_all()
                return result
            failure = self._failures.get(number)
            if failure is None and self._stopped:
                failure = CancelledError("Fetching was given up.")
        if failure is not None:
            raise failure
        return None

    @property
    def exhausted(self) -> bool:
        """Whether every result has been taken."""
        return self._taken >= len(self._items)

    def stop(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _may_begin(self) -> bool:
        if self._stopped or self._failures or self._begun >= len(self._items):
            return True
        due = self._begun == self._taken
        return due or (self._begun < self._taken + self._ahead and self._weight < self._budget)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._may_begin)
                if self._stopped or self._failures or self._begun >= len(self._items):
                    return
                number = self._begun
                self._begun += 1
            try:
                result = self._work(self._items[number])
            except BaseException as failure:  # noqa: BLE001 handed over to the one who takes
                with self._changed:
                    self._failures[number] = failure
                    self._changed.notify_all()
                return
            with self._changed:
                self._results[number] = result
                self._weight += self._weigh(result)
                self._changed.notify_all()

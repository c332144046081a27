"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

ROUNDS = 3
LATE = 100
# The last days are kept for the daily runs: in each round one ordinary day and one with late records.
NEW_DAYS = 2 * ROUNDS
# Bytes on disk for each attempt, with some for what is dead until a vacuum; those for a second copy of the marts during
# a full refresh; and those for bodies, the write-ahead log and sorting.
_ROOM_EACH, _ROOM_COPY, _ROOM_ELSE = 2_600, 1_300, 4 << 30


@dataclass(frozen=True)
class Sizes:
    """Records a day, and numbers of days: of the bulk measures, the backfills, full refreshes, and histories."""

    per_day: int
    bulk: int
    backfills: tuple[int, ...]
    refreshes: tuple[int, ...]
    histories: tuple[int, ...]

    def of_histories(self, attempts: list[int]) -> Sizes:
        """The same with histories of so many attempts; no full refresh of more than the longest."""
        days = tuple(sorted({max(1, round(number / self.per_day)) for number in attempts}))
        refreshes = tuple(number for number in self.refreshes if number <= days[-1])
        return replace(self, histories=days, refreshes=refreshes or days[-1:])

    def room(self, with_histories: bool = True) -> int:
        """About how many bytes of disk are needed, for all measures or for those of `bulk` and `backfills` alone."""
        if not with_histories:
            most = max(*self.backfills, self.bulk)
            return 2 * most * self.per_day * (_ROOM_EACH + _ROOM_COPY) + (1 << 30)
        refreshed = sum(self.refreshes) * (_ROOM_EACH + _ROOM_COPY)
        kept = sum(self.histories) * _ROOM_EACH
        longest = max(*self.histories, *self.refreshes, self.bulk) * self.per_day * _ROOM_EACH
        return max(refreshed, kept) * self.per_day + min(_ROOM_ELSE, longest) + (1 << 30)


SMALL = Sizes(10_000, bulk=10, backfills=(1, 10, 30), refreshes=(5, 50), histories=(5, 50))
FULL = Sizes(10_000, bulk=100, backfills=(1, 10, 100), refreshes=(100, 500), histories=(5, 50, 500, 2_000))

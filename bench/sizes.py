"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

ROUNDS = 3
LATE = 100
# The last days are kept for the daily runs: in each round one ordinary day and one with late records.
NEW_DAYS = 2 * ROUNDS
# Bytes on disk for each attempt while it is measured: the tables, a second copy of the marts during a full
# refresh, the write-ahead log.
_ROOM_EACH = 3_500
_ROOM_ELSE = 12 << 30


@dataclass(frozen=True)
class Sizes:
    """Records a day, and numbers of days: of the bulk measures, the backfills, full refreshes, and histories."""

    per_day: int
    bulk: int
    backfills: tuple[int, ...]
    refreshes: tuple[int, ...]
    histories: tuple[int, ...]
    windows: tuple[int, ...] = (1, 7, 30)

    def of_histories(self, attempts: list[int]) -> Sizes:
        """The same with histories of so many attempts; no full refresh of more than the longest."""
        days = tuple(sorted({max(1, round(number / self.per_day)) for number in attempts}))
        return replace(
            self, histories=days, refreshes=tuple(n for n in self.refreshes if n <= days[-1]) or days[-1:]
        )

    @property
    def room(self) -> int:
        """About how many bytes of disk are needed."""
        kept = sum({*self.refreshes, *self.histories}) * self.per_day
        return kept * _ROOM_EACH + (_ROOM_ELSE if self.bulk * self.per_day > 500_000 else _ROOM_ELSE // 4)


SMALL = Sizes(10_000, bulk=10, backfills=(1, 10, 30), refreshes=(10, 50), histories=(5, 50))
FULL = Sizes(10_000, bulk=100, backfills=(1, 10, 100), refreshes=(100, 500), histories=(5, 50, 500, 2_000))

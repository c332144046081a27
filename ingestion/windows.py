"""Windows of time: what to ask the API for, and in which steps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
# The API doesn't say whether the ends of a window are included. Its times are in microseconds, so two
# windows that share one have every record of their border in at least one of them.
OVERLAP = timedelta(microseconds=1)
# No request is made for less than this at the end of a window: its last step is longer instead.
SLIVER = timedelta(seconds=1)
# Attempts before this day are rejected downstream, so it is not worth a request a day.
DAWN = datetime(2000, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, order=True)
class Window:
    """The time from `start` up to, not including, `end`; both aware, kept in UTC; start < end."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("A window needs a start and an end that know their time zone.")
        object.__setattr__(self, "start", self.start.astimezone(timezone.utc))
        object.__setattr__(self, "end", self.end.astimezone(timezone.utc))
        if self.end <= self.start:
            raise ValueError(f"The window's end {self.end} is not after its start {self.start}.")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{format_instant(self.start)} .. {format_instant(self.end)} UTC"


def format_instant(instant: datetime) -> str:
    """An aware instant as the API writes it, in UTC: `YYYY-MM-DD HH:MM:SS.ffffff`."""
    return instant.astimezone(timezone.utc).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which `day` begins in `zone` (the end of the gap if it has no midnight)."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(timezone.utc)


def union(windows: Iterable[Window]) -> list[Window]:
    """The same time as ordered windows that neither overlap nor touch."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def missing(whole: Window, covered: Iterable[Window]) -> list[Window]:
    """The parts of `whole` outside `covered`, ordered.

    A border shared with covered time is moved by `OVERLAP` into it; the ends of `whole` stay as they are.
    """
    parts: list[Window] = []
    start, inner = whole.start, False
    for window in union(covered):
        if window.end <= whole.start or window.start >= whole.end:
            continue
        if window.start > start:
            parts.append(Window(start - OVERLAP if inner else start, window.start + OVERLAP))
        start, inner = window.end, True
    if start < whole.end:
        parts.append(Window(start - OVERLAP if inner else start, whole.end))
    return parts


def plan(
    loaded: Iterable[Window],
    now: datetime,
    zone: ZoneInfo,
    start_date: date | None = None,
    lookback: timedelta = DAY,
    first_start: date | None = None,
) -> list[Window]:
    """The windows a run asks for when nobody names one; ordered, apart from each other, possibly none.

    `loaded` is the time covered by completed loads (`raw.coverage`), `now` an aware instant, `zone` the one
    whose calendar counts. The window runs from the last loaded instant less `lookback` to the midnight that
    begins today. When nothing is loaded it begins with the local day `start_date`, else `first_start`, else
    the day before `now`. With `start_date` set, all time from that day on that is not covered is due as well.
    """
    covered = union(loaded)
    today = now.astimezone(zone).date()
    end = local_midnight(today, zone)
    wanted: list[Window] = []
    if covered:
        last = covered[-1].end
        start = last - max(lookback, OVERLAP)
        if start < end and (last < end or lookback > OVERLAP):
            wanted.append(Window(start, end))
    else:
        start = local_midnight(start_date or first_start or today - DAY, zone)
        if start < end:
            wanted.append(Window(start, end))
    if covered and start_date is not None:
        first = local_midnight(start_date, zone)
        if first < end:
            wanted.extend(missing(Window(first, end), covered))
    return union(wanted)


def slices(window: Window, now: datetime, length: timedelta = DAY) -> Iterator[Window]:
    """Cut `window` into steps of `length` (the last one up to `SLIVER` longer), lazily and in order.

    Each step after the first begins `OVERLAP` before the end of the one before. What lies before `DAWN`, or
    begins more than a day after `now`, is one single step: nothing is expected there.
    """
    horizon = now + DAY
    start = window.start
    while start < window.end:
        end = window.end
        if start < DAWN:
            end = min(DAWN, end)
        elif start < horizon and end - start > length + SLIVER:
            end = start + length
        yield Window(start if start == window.start else start - OVERLAP, end)
        start = end


def halves(window: Window) -> tuple[Window, Window]:
    """Two windows that together cover `window`, overlapping by `OVERLAP`."""
    middle = window.start + window.length / 2
    return Window(window.start, middle), Window(middle - OVERLAP, window.end)

"""When the demo school's learners study: hours of the day, days of the week, holidays and seasons.

The school lives by Moscow time, taken as UTC+3 in every year. All shares are invented, modelled on the habits
of adults who study beside their work: evenings, Sundays before a deadline, little in January's holidays.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from itertools import accumulate

SECOND = 1_000_000
"""Microseconds; every instant in this package is an int of microseconds since 1970-01-01 UTC."""
HOUR = 3600 * SECOND
DAY = 24 * HOUR
MOSCOW = 3 * HOUR
EPOCH = date(1970, 1, 1).toordinal()

# One line for each six hours, from midnight on.
_HOURS_OF_WORKDAY = (
    *(2, 1, 0.5, 0.3, 0.2, 0.3),
    *(0.8, 1.8, 3, 4.5, 5.5, 5.5),
    *(5, 5, 5, 5, 5.2, 5.8),
    *(7, 9, 10.5, 10.5, 8, 4.5),
)
_HOURS_OF_WEEKEND = (
    *(2.5, 1.5, 0.7, 0.4, 0.2, 0.2),
    *(0.4, 1, 2, 3.5, 5, 7),
    *(8, 8, 8, 8, 8, 8),
    *(8, 8, 8.5, 8, 6, 4),
)
_HOURS_OF_EARLY_BIRD = (
    *(0, 0, 0, 0, 0.2, 2),
    *(6, 9, 9, 7, 5, 4),
    *(4, 4, 3, 3, 3, 3),
    *(3, 3, 2, 1, 0.5, 0.2),
)
_WEEKDAYS = (1.15, 1.15, 1.1, 1.0, 0.75, 0.85, 1.25)
_DAYS_A_WEEK = {1: 0.36, 2: 0.32, 3: 0.21, 4: 0.11}
FINENESS = 4096
"""How many equally likely parts the tables drawn from have."""


def _inverse(weights: Sequence[float]) -> tuple[int, ...]:
    """For each of FINENESS equal parts of [0, 1): the index that part falls on when drawn by `weights`."""
    sums = list(accumulate(weights))
    last = len(sums) - 1
    return tuple(min(last, bisect_right(sums, (part + 0.5) / FINENESS * sums[-1])) for part in range(FINENESS))


def _week_masks() -> tuple[int, ...]:
    masks = range(1, 128)
    weights = []
    for mask in masks:
        days = [day for day in range(7) if mask >> day & 1]
        weight = 1.0 if len(days) in _DAYS_A_WEEK else 0.0
        for day in days:
            weight *= _WEEKDAYS[day]
        weights.append((len(days), weight))
    totals = {count: sum(w for c, w in weights if c == count) for count in _DAYS_A_WEEK}
    shares = [weight and _DAYS_A_WEEK[count] * weight / totals[count] for count, weight in weights]
    return tuple(masks[index] for index in _inverse(shares))


_WORKDAY = _inverse(_HOURS_OF_WORKDAY)
_WEEKEND = _inverse(_HOURS_OF_WEEKEND)
_EARLY_BIRD = _inverse(_HOURS_OF_EARLY_BIRD)
WEEK_MASKS = _week_masks()
"""FINENESS ways to spread a week's work: the weekdays a learner studies on as bits, the lowest is Monday."""

_HOLIDAYS = {(2, 23): 0.88, (3, 8): 0.88, (5, 1): 0.85, (5, 9): 0.85, (6, 12): 0.88, (11, 4): 0.88}
_HOLIDAYS |= {(1, day): 0.44 for day in range(1, 9)} | {(5, day): 0.95 for day in range(2, 9)}
_HOLIDAYS |= {(12, day): 0.85 for day in range(18, 30)} | {(12, 30): 0.75, (12, 31): 0.65}
# Deadlines come every second week. So a day differs from the same weekday a week before anyway, and what is usual is
# broad enough for holidays and seasons: none of them may make a day suspect (`marts.daily_verdicts`).
_WEEK_BETWEEN_DEADLINES = 0.7
_SEASONS = {6: 0.96, 7: 0.92, 8: 0.9, 9: 0.95, 12: 0.93}


def start_of_session(weekday: int, early_bird: bool, u: float) -> int:
    """Microseconds after local midnight at which a session starts, drawn by u in [0, 1); 0 is Monday."""
    table = _EARLY_BIRD if early_bird else _WEEKEND if weekday > 4 else _WORKDAY
    place = u * FINENESS
    part = int(place)
    within = (place * 61.803398875) % 1.0
    return table[part] * HOUR + int(within * HOUR)


def presence(day: int) -> float:
    """The share of those who meant to study on a day (a date's ordinal) and do: holidays, seasons, chance."""
    when = date.fromordinal(day)
    chance = 0.95 + 0.05 * ((day * 0.7548776662466927) % 1.0)
    pace = 1.0 if (day - 1) // 7 % 2 else _WEEK_BETWEEN_DEADLINES
    return pace * _HOLIDAYS.get((when.month, when.day), 1.0) * _SEASONS.get(when.month, 1.0) * chance


def local_day(instant: int) -> int:
    """The ordinal of the school's (Moscow's) calendar day that holds an instant."""
    return (instant + MOSCOW) // DAY + EPOCH


def midnight(day: int) -> int:
    """The instant at which the school's day with this ordinal begins."""
    return (day - EPOCH) * DAY - MOSCOW

"""The demo vendor's answer to a window: its records as JSON texts, in order of time.

A record belongs to a window, half-open, by the instant of its attempt, whatever its `created_at` claims. So
adjacent windows share nothing and lose nothing, and the records of a period do not depend on how it is cut.

What the vendor knows changes with time in two ways, both bound to attempts made between 18:00 and midnight
of one of the school's (Moscow's) days D. A few of these are *late*, left out until midnight at the end of
day D+1; a few verdicts are *corrected*, given wrongly until that same midnight. Hence an answer depends on
`now`, the instant of asking, only through the school's date and through the end of what has happened:
asking again on the same date for days that are over gives the same bytes, and a window older than two days
never changes again. A load of day D made on day D+1 misses the late ones; the next load finds them by
looking back a day (in zones as far east as Moscow or west of it).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain
from operator import itemgetter

from embedded.demo_api import stories
from embedded.demo_api.dirt import ODD, SPOILED, drawn
from embedded.demo_api.rhythm import HOUR, SECOND, local_day, midnight
from embedded.demo_api.students import LONGEST_SESSION, RIGHT, RUN, WRONG, Attempt, attempts, sessions

FIRST_INSTANT = 946_684_800 * SECOND
"""2000-01-01: the school has nothing older."""

_EPOCH = datetime(1970, 1, 1)
_UNGRADED = 'null, "attempt_type": "submit", "created_at": "'

# Shares of Attempt.mark, each up to the next one's start; spoiled records come first, from 0 on.
_REPEATED = 0.010
_REGRADED = 0.0145
_ODD = 0.0155
_LATE = 0.0225
_CORRECTED = 0.0325
_UNGRADED_FROM = 0.0425
_WHOLE_SECOND = 0.0435
_ORDINARY = 0.0445

_BLOCK = 10 * 60 * SECOND


def records(start: datetime, end: datetime, now: datetime | None = None, scale: float = 1.0) -> Iterator[str]:
    """The records of the attempts made in [start, end), as known at `now`: JSON texts in order of time.

    The datetimes are aware; `now` is the present unless given. `scale` multiplies the school's learners.
    Time and work follow the window's length; memory holds a few hours of records. Raises ValueError for a
    naive datetime.
    """
    return chain.from_iterable(blocks(start, end, now, scale))


def blocks(start: datetime, end: datetime, now: datetime | None = None, scale: float = 1.0) -> Iterator[list[str]]:
    """The same records in lists, each of some minutes of the window."""
    if start.tzinfo is None or end.tzinfo is None or (now is not None and now.tzinfo is None):
        raise ValueError("demo records are asked for with aware datetimes (with a time zone)")
    asked = instant(now or datetime.now(timezone.utc))
    return _answer(max(instant(start), FIRST_INSTANT), min(instant(end), asked), asked, scale)


def instant(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware datetime."""
    return (moment - _EPOCH.replace(tzinfo=timezone.utc)) // timedelta(microseconds=1)


def _answer(start: int, end: int, now: int, scale: float) -> Iterator[list[str]]:
    for ready in _in_order(start, end, scale):
        texts: list[str] = []
        for attempt in ready:
            moment, head, tail, mark = attempt
            if mark >= _ORDINARY:
                texts.append(f'{head}{tail}{_created_at(moment)}"}}')
            else:
                texts.extend(_unusual(attempt, now))
        yield texts


def _in_order(start: int, end: int, scale: float) -> Iterator[list[Attempt]]:
    """The attempts of [start, end), sorted, in lists; an attempt waits until no earlier one can come."""
    if start >= end:
        return
    waiting: list[Attempt] = []
    earliest = start - LONGEST_SESSION
    done = earliest
    for day in range(local_day(earliest), local_day(end - 1) + 1):
        waiting += (attempt for attempt in stories.attempts(day, scale) if start <= attempt[0] < end)
        for session in sessions(day, scale, earliest, end):
            if session.start >= done + _BLOCK:
                done = session.start
                waiting.sort()
                first_open = bisect_left(waiting, done, key=itemgetter(0))
                yield waiting[:first_open]
                del waiting[:first_open]
            for attempt in attempts(session):
                if _WHOLE_SECOND <= attempt[3] < _ORDINARY:
                    attempt = (attempt[0] // SECOND * SECOND, *attempt[1:])
                if start <= attempt[0] < end:
                    waiting.append(attempt)
    waiting.sort()
    yield waiting


def _unusual(attempt: Attempt, now: int) -> Iterator[str]:
    moment, head, tail, mark = attempt
    text = f'{head}{tail}{_created_at(moment)}"}}'
    if mark < _REPEATED:
        yield drawn(SPOILED, mark / _REPEATED, text)
    elif mark < _ODD:
        first_tail = _UNGRADED if mark >= _REGRADED and tail != RUN else tail
        yield f'{head}{first_tail}{_created_at(moment)}"}}'
        yield text
    elif mark < _LATE:
        yield drawn(ODD, (mark - _ODD) / (_LATE - _ODD), text)
    elif mark < _CORRECTED:
        if now >= _known_from(moment):
            yield text
    elif mark < _UNGRADED_FROM:
        if tail != RUN and now < _known_from(moment):
            tail = WRONG if tail == RIGHT else RIGHT
        yield f'{head}{tail}{_created_at(moment)}"}}'
    elif mark < _WHOLE_SECOND:
        yield f'{head}{tail if tail == RUN else _UNGRADED}{_created_at(moment)}"}}'
    else:
        yield text.replace('.000000"}', '"}')


def _known_from(moment: int) -> int:
    """When a late or corrected attempt's final record is known: at once unless made from 18:00 on."""
    day = local_day(moment)
    return midnight(day + 2) if moment - midnight(day) >= 18 * HOUR else moment


def _created_at(moment: int) -> str:
    """The instant as the vendor writes it: 2023-05-31 09:16:11.313646, in UTC."""
    return (_EPOCH + timedelta(microseconds=moment)).isoformat(" ", "microseconds")

"""The terms that the marts of the analytics share, in plain Python, written from the contract alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from tests.dbt_project.oracle import Attempt, Oracle, local
from tests.dbt_project.oracle_rules import micros

Row = dict[str, Any]
# Course key and block id, or the whole sourcedid where it can't be split.
Task = tuple[str | None, str | None, str | None]
# A number, with infinity.
Number = Fraction | float
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

NO_COURSE = "(no course)"
SECOND = 1_000_000
GAP = 600 * SECOND
CENSORED_FOR = 168 * 3600 * SECOND
MEDIAN = Fraction(1, 2)


def days(count: int) -> timedelta:
    return timedelta(days=count)


def monday(day: date) -> date:
    return day - days(day.weekday())


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: defaultdict[Key, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def share(part: int | Fraction, whole: int | Fraction) -> Fraction | None:
    return Fraction(part) / whole if whole else None


def mean(values: Sequence[int | Fraction]) -> Fraction | None:
    return share(sum(values, Fraction(0)), len(values))


def quantile(values: Iterable[Any], fraction: Fraction) -> Any:
    """percentile_disc: the first value at which at least that fraction of them is reached."""
    ordered = sorted(values)
    return ordered[max(math.ceil(fraction * len(ordered)), 1) - 1] if ordered else None


def is_submit(attempt: Attempt) -> bool:
    return attempt.values.attempt_type == "submit"


def is_graded(attempt: Attempt) -> bool:
    return is_submit(attempt) and attempt.values.is_correct is not None


def success(attempts: Iterable[Attempt]) -> Fraction | None:
    """The success rate of a set."""
    return mean([int(a.correct) for a in attempts if is_graded(a)])


def volumes(attempts: Sequence[Attempt]) -> Row:
    """The counts that most marts hold."""
    submits = [a for a in attempts if is_submit(a)]
    return {
        "attempts": len(attempts),
        "submits": len(submits),
        "graded_submits": sum(is_graded(a) for a in submits),
        "correct_submits": sum(a.correct for a in submits),
        "success_rate": success(submits),
    }


def course_of(attempt: Attempt) -> str:
    return NO_COURSE if attempt.course_key is None else attempt.course_key


def task_of(attempt: Attempt) -> Task:
    return attempt.task[1:]


class Pair:
    """What one learner did on one task: a row of learner_tasks."""

    def __init__(self, attempts: Iterable[Attempt], censored_before: int) -> None:
        # Order: of attempts at one instant a correct one comes first; no figure tells the others apart.
        self.attempts = sorted(attempts, key=lambda a: (a.created_at, not a.correct))
        self.user_id = self.attempts[0].user_id
        self.task = task_of(self.attempts[0])
        self.course = course_of(self.attempts[0])
        self.first_attempt_at = self.attempts[0].created_at
        self.last_attempt_at = self.attempts[-1].created_at
        self.is_left_censored = self.first_attempt_at < censored_before
        self.submits = [a for a in self.attempts if is_submit(a)]
        self.graded = [a for a in self.submits if is_graded(a)]
        self.wrong = [a for a in self.graded if not a.correct]
        self.correct = [a for a in self.graded if a.correct]
        self.first_submit_at = self.submits[0].created_at if self.submits else None
        self.first_correct_at = self.correct[0].created_at if self.correct else None

    @cached_property
    def status(self) -> str:
        if self.correct:
            return "solved"
        if self.graded:
            return "unsolved"
        return "ungraded" if self.submits else "run_only"

    @property
    def first_graded_correct(self) -> bool | None:
        return self.graded[0].correct if self.graded else None

    @property
    def attempts_to_first_correct(self) -> int | None:
        solved = self.first_correct_at
        return None if solved is None else sum(a.created_at <= solved for a in self.attempts)

    @property
    def submits_to_first_correct(self) -> int | None:
        return self.graded.index(self.correct[0]) + 1 if self.correct else None

    @property
    def runs_before_first_submit(self) -> int | None:
        submitted = self.first_submit_at
        if submitted is None:
            return None
        return sum(not is_submit(a) and a.created_at < submitted for a in self.attempts)

    def active_between(self, since: int, until: int | None) -> Fraction:
        """The active seconds of the gaps that begin at or after `since` and end at or before `until`."""
        gaps = [(a.created_at, b.created_at) for a, b in pairwise(self.attempts)]
        active = [
            end - begin
            for begin, end in gaps
            if end - begin < GAP and begin >= since and (until is None or end <= until)
        ]
        return Fraction(sum(active), SECOND)

    @cached_property
    def active_seconds(self) -> Fraction:
        return self.active_between(self.first_attempt_at, None)

    @property
    def active_seconds_to_first_correct(self) -> Fraction | None:
        if self.first_correct_at is None:
            return None
        return self.active_between(self.first_attempt_at, self.first_correct_at)

    @cached_property
    def lost_seconds(self) -> Fraction:
        if not self.graded or self.graded[0].correct:
            return Fraction(0)
        return self.active_between(self.wrong[0].created_at, self.first_correct_at)

    @property
    def hours_lost(self) -> Fraction:
        return self.lost_seconds / 3600

    def status_at(self, instant: int) -> str:
        """What the status was, told by the attempts before an instant."""
        before = [a for a in self.attempts if a.created_at < instant]
        return Pair(before, 0).status if before else "untouched"


class History:
    """All that counts, as a report zone sees it."""

    def __init__(self, oracle: Oracle, zone: ZoneInfo, task_ids: dict[Task, str] | None = None) -> None:
        self.zone = zone
        self.task_ids = task_ids
        self.calls = oracle.calls
        self.receipts = oracle.receipts
        self.published = oracle.published
        self.covered_until = oracle.covered_until
        self.history_from = min((call.window_start for call in oracle.calls), default=None)
        self.attempts = oracle.counted
        self._day_of: dict[int, date] = {}
        self.as_of_day_if_any = oracle.as_of_day(zone)

    @property
    def as_of_day(self) -> date:
        """D; to be asked for only where there is an attempt, so a call, so a D."""
        assert self.as_of_day_if_any is not None
        return self.as_of_day_if_any

    @property
    def censored_before(self) -> int:
        return 0 if self.history_from is None else self.history_from + CENSORED_FOR

    def task_id(self, task: Task) -> str:
        """The warehouse's name of a task; the oracle alone makes do with any."""
        return repr(task) if self.task_ids is None else self.task_ids[task]

    def tie_order(self, task: Task) -> tuple[Any, ...]:
        """How ties between tasks go; code points order texts as the bytes of UTF-8 do."""
        course_key, block_id, _whole = task
        return course_key is None, course_key or "", block_id is None, block_id or "", self.task_id(task)

    def day_of(self, instant: int) -> date:
        if instant not in self._day_of:
            self._day_of[instant] = local(instant, self.zone).date()
        return self._day_of[instant]

    def day(self, attempt: Attempt) -> date:
        return self.day_of(attempt.created_at)

    def start_of(self, day: date) -> int:
        """The first instant of a local day."""
        return micros(datetime(day.year, day.month, day.day, tzinfo=self.zone))

    @cached_property
    def pairs(self) -> list[Pair]:
        groups = grouped(self.attempts, lambda a: a.task)
        return [Pair(attempts, self.censored_before) for attempts in groups.values()]

    @cached_property
    def by_day(self) -> dict[date, list[Attempt]]:
        return grouped(self.attempts, self.day)

    def between(self, first: date, last: date) -> list[Attempt]:
        """The attempts of the days from the first to the last one."""
        return [a for a in self.attempts if first <= self.day(a) <= last]

"""The warehouse in plain Python: what the marts must hold after a number of loads, written from the
contract alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.dbt_project.oracle_rules import EPOCH, MICROSECOND, Judged, judge, micros, split_sourcedid, stored

Metrics = dict[str, int | Fraction | None]
Task = tuple[str, str | None, str | None, str | None]


def local(instant: int, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show at an instant."""
    return (EPOCH + instant * MICROSECOND).astimezone(zone)


@dataclass(frozen=True)
class Answer:
    """What one call of the API brought: when, and the records as Python values, in its order."""

    fetched_at: datetime
    records: Sequence[Any]
    asked_for: tuple[datetime, datetime] | None = None

    def window(self, number: int) -> tuple[datetime, datetime]:
        """What the call asked for; of the answer of that number in a load, when nobody says."""
        return self.asked_for or (self.fetched_at - timedelta(days=1 + number), self.fetched_at)


@dataclass(frozen=True)
class Call:
    """An answered call of a completed load; instants are microseconds since 1970."""

    load_id: str
    window_start: int
    window_end: int
    fetched_at: int


@dataclass(frozen=True)
class Attempt:
    """A valid attempt with the values of the record fetched last."""

    values: Judged
    course_key: str | None
    block_id: str | None

    @property
    def created_at(self) -> int:
        assert self.values.created_at is not None
        return self.values.created_at

    @property
    def user_id(self) -> str:
        assert self.values.user_id is not None
        return self.values.user_id

    @property
    def correct(self) -> bool:
        return self.values.attempt_type == "submit" and self.values.is_correct is True

    @property
    def task(self) -> Task:
        """Learner and task; a task that can't be split is its whole id."""
        whole = self.values.lis_result_sourcedid if self.block_id is None else None
        return self.user_id, self.course_key, self.block_id, whole

    def day(self, zone: ZoneInfo) -> date:
        return local(self.created_at, zone).date()


@dataclass
class LearnerTask:
    """All that one learner did on one task."""

    attempts: list[Attempt]

    @property
    def first_correct_at(self) -> int | None:
        return min((a.created_at for a in self.attempts if a.correct), default=None)

    @property
    def attempts_to_first_correct(self) -> int | None:
        solved = self.first_correct_at
        return None if solved is None else sum(a.created_at <= solved for a in self.attempts)

    def row(self) -> dict[str, Any]:
        times = [a.created_at for a in self.attempts]
        return {
            "user_id": self.attempts[0].user_id,
            "course_key": self.attempts[0].course_key,
            "block_id": self.attempts[0].block_id,
            "attempts": len(times),
            "submits": sum(a.values.attempt_type == "submit" for a in self.attempts),
            "first_attempt_at": min(times),
            "last_attempt_at": max(times),
            "first_correct_at": self.first_correct_at,
            "attempts_to_first_correct": self.attempts_to_first_correct,
        }


@dataclass(frozen=True)
class Published:
    """The days as one build published them."""

    as_of_day: date | None
    days: dict[date, Metrics]


class Oracle:
    """The contents of the warehouse after the loads given to it so far."""

    def __init__(self) -> None:
        self.staged: list[tuple[str, Judged]] = []
        self.attempts: dict[tuple[Any, ...], Attempt] = {}
        self.rejected: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, int]] = {}
        self.calls: list[Call] = []
        self.published: list[Published] = []
        # Learners who count in no metric, by the seed `excluded_learners`.
        self.excluded: set[str] = set()

    def load(self, load_id: str, answers: Iterable[Answer]) -> None:
        """Take in a completed load."""
        receipt = {"fetched": 0, "accepted": 0, "repeated": 0, "rejected": 0}
        for number, answer in enumerate(answers):
            window_start, window_end = answer.window(number)
            self.calls.append(Call(load_id, micros(window_start), micros(window_end), micros(answer.fetched_at)))
            for record in answer.records:
                judged = judge(record, micros(answer.fetched_at))
                self.staged.append((load_id, judged))
                receipt["fetched"] += 1
                receipt[self._take(record, judged, answer.fetched_at)] += 1
        self.receipts[load_id] = receipt

    def _take(self, record: Any, judged: Judged, fetched_at: datetime) -> str:
        if judged.reasons:
            content = json.dumps(stored(record), sort_keys=True)
            if content in self.rejected:
                return "repeated"
            self.rejected[content] = {
                "record": json.loads(content),
                "rejection_reasons": list(judged.reasons),
                "first_seen_at": micros(fetched_at),
            }
            return "rejected"
        key = (judged.user_id, judged.lis_result_sourcedid, judged.attempt_type, judged.created_at)
        known = self.attempts.get(key)
        if known is None:
            assert judged.lis_result_sourcedid is not None
            self.attempts[key] = Attempt(judged, *split_sourcedid(judged.lis_result_sourcedid))
            return "accepted"
        self.attempts[key] = replace(known, values=judged)
        return "repeated"

    def build(self, zone: ZoneInfo) -> None:
        """Publish what is there, as every build does; keep the days for `day_revisions`."""
        self.published.append(Published(self.as_of_day(zone), self.daily_metrics(zone)))

    @property
    def counted(self) -> list[Attempt]:
        """The attempts of the learners who count."""
        return [a for a in self.attempts.values() if a.user_id not in self.excluded]

    @property
    def covered_until(self) -> int | None:
        return max((min(call.window_end, call.fetched_at) for call in self.calls), default=None)

    def as_of_day(self, zone: ZoneInfo) -> date | None:
        """The last calendar day that is wholly covered."""
        covered_until = self.covered_until
        return None if covered_until is None else local(covered_until, zone).date() - timedelta(days=1)

    def learner_tasks(self) -> dict[Task, LearnerTask]:
        tasks: dict[Task, LearnerTask] = {}
        for attempt in self.counted:
            tasks.setdefault(attempt.task, LearnerTask([])).attempts.append(attempt)
        return tasks

    def daily_metrics(self, zone: ZoneInfo) -> dict[date, Metrics]:
        """The row of every day from the first to the last with an attempt."""
        by_day: defaultdict[date, list[Attempt]] = defaultdict(list)
        for attempt in self.counted:
            by_day[attempt.day(zone)].append(attempt)
        if not by_day:
            return {}
        rows: dict[date, Metrics] = {}
        day, last = min(by_day), max(by_day)
        figures = Figures(self.counted, self.learner_tasks().values())
        while day <= last:
            rows[day] = figures.metrics(by_day.get(day, []))
            for length in (7, 30):
                days = (day - timedelta(days=back) for back in range(length))
                rows[day][f"unique_users_{length}d"] = len(
                    {attempt.user_id for one in days for attempt in by_day.get(one, ())}
                )
            day += timedelta(days=1)
        return rows

    def period_metrics(self, start: datetime, end: datetime) -> Metrics:
        """The metrics of start <= created_at < end."""
        chosen = [a for a in self.counted if micros(start) <= a.created_at < micros(end)]
        return Figures(self.counted, self.learner_tasks().values()).metrics(chosen)


class Figures:
    """The metrics of sets of attempts, and what they need to know of all attempts."""

    def __init__(self, attempts: Iterable[Attempt], tasks: Iterable[LearnerTask]) -> None:
        self.first_attempt: dict[str, int] = {}
        for attempt in attempts:
            earliest = self.first_attempt.get(attempt.user_id, attempt.created_at)
            self.first_attempt[attempt.user_id] = min(earliest, attempt.created_at)
        self.tasks = {task.attempts[0].task: task for task in tasks}

    def metrics(self, chosen: Sequence[Attempt]) -> Metrics:
        submits = [a for a in chosen if a.values.attempt_type == "submit"]
        graded = [a for a in submits if a.values.is_correct is not None]
        correct = [a for a in submits if a.correct]
        users = {a.user_id for a in chosen}
        solved = {a.task for a in correct if self.tasks[a.task].first_correct_at == a.created_at}
        efforts = [self.tasks[task].attempts_to_first_correct or 0 for task in solved]
        return {
            "attempts": len(chosen),
            "runs": len(chosen) - len(submits),
            "submits": len(submits),
            "correct_submits": len(correct),
            "success_rate": Fraction(len(correct), len(graded)) if graded else None,
            "unique_users": len(users),
            "attempts_per_user": Fraction(len(chosen), len(users)) if users else None,
            "users_without_correct": len(users - {a.user_id for a in correct}),
            "avg_attempts_to_first_correct": Fraction(sum(efforts), len(efforts)) if efforts else None,
            "new_users": len({a.user_id for a in chosen if self.first_attempt[a.user_id] == a.created_at}),
        }

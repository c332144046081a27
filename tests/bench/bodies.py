"""Answers of the API, made beforehand: one JSON body for each calendar day of the report zone.

Days are counted back from the day of the benchmark: -1 is yesterday. What a day holds depends on its number alone, so
every history that ends with the same day ends with the same records. Some twenty thousand learners are at work at a
time, each for two hundred days and on twenty tasks. Unless the bodies are to be clean, about one record in a hundred is
unlike the others: repeated, corrected later, oddly written, or to be rejected.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from ingestion.windows import local_midnight

ZONE = ZoneInfo("Europe/Moscow")
_LEARNERS, _NEW_A_DAY, _TASKS, _COURSES = 20_000, 100, 20, 7
_CORRECTED = 5
_HOST = "lms.school.example.org"
_ODD_SHARE = 0.01


@dataclass(frozen=True)
class _Attempt:
    """What makes one record; `verdict` as JSON writes it, `created_at` as the API does."""

    learner: str
    course: str
    block: str
    kind: str
    verdict: str
    created_at: str

    def params(self) -> dict[str, object]:
        return {
            "oauth_consumer_key": "",
            "lis_result_sourcedid": f"{self.course}:{_HOST}-{self.block}:{self.learner}",
            "lis_outcome_service_url": f"https://{_HOST}/courses/{self.course}/xblock/block-v1:{self.course[10:]}"
            f"+type@lti+block@{self.block}/handler_noauth/grade_handler",
        }

    def record(self, params: str | None = None) -> str:
        """The record as the grader's vendor writes it, some 560 bytes."""
        text = json.dumps(repr(self.params()) if params is None else params)
        return (
            f'{{"lti_user_id": "{self.learner}", "passback_params": {text}, "is_correct": {self.verdict}, '
            f'"attempt_type": "{self.kind}", "created_at": "{self.created_at}"}}'
        )


def body(today: date, day: int, per_day: int, late: int = 0, late_days: int = 0, clean: bool = False) -> str:
    """The JSON list of a day: `per_day` records in order of time, the first few of them corrections of the day before.

    `late` further records are attempts of as many different days (or of all, if there are fewer) among the
    `late_days` before. With `clean` each record is a valid attempt that occurs once, as a plain script expects.
    """
    if clean:
        return f"[{', '.join(_records(today, day, per_day, odd_share=0))}]"
    corrections = islice(_records(today, day - 1, per_day), _CORRECTED)
    records = [_flipped(text) for text in corrections]
    records += islice(_records(today, day, per_day), per_day - _CORRECTED)
    for number in range(late):
        old_day = day - 1 - number * late_days // late
        (record,) = islice(_records(today, old_day, 1, seed=f"late {day} {number}"), 1)
        records.append(record)
    return f"[{', '.join(records)}]"


def write(path: Path, today: date, day: int, per_day: int, clean: bool = False) -> None:
    """Write the body of a day into a file."""
    path.write_text(body(today, day, per_day, clean=clean), encoding="utf-8")


def path(folder: Path, today: date, day: int) -> Path:
    """Where the body of a day is kept."""
    return folder / f"{today + timedelta(days=day)}.json"


def midnight(today: date, day: int) -> datetime:
    """The instant at which a day begins in the report zone."""
    return local_midnight(today + timedelta(days=day), ZONE)


def _records(today: date, day: int, per_day: int, seed: str = "", odd_share: float = _ODD_SHARE) -> Iterator[str]:
    chance = random.Random(f"{day} {per_day} {seed}")  # noqa: S311 reproducible data, no secret
    draw = chance.random
    newest = (day + 100_000) * _NEW_A_DAY
    begin = midnight(today, day).replace(tzinfo=None)
    step = timedelta(days=1) / per_day
    offset = timedelta(microseconds=int(draw() * 1_000_000))
    before: _Attempt | None = None
    for number in range(per_day):
        learner = newest - int(draw() * _LEARNERS)
        course = learner % _COURSES
        kind, verdict = _KINDS[int(draw() * len(_KINDS))]
        attempt = _Attempt(
            _learner_id(learner),
            f"course-v1:SchoolOfExamples+C{course}+28FEB2023",
            _block_id(course, int(draw() * _TASKS)),
            kind,
            verdict,
            (begin + step * number + offset).isoformat(" ", "microseconds"),
        )
        if draw() < odd_share and before is not None:
            yield _odd(int(draw() * _ODD), attempt, before)
        else:
            yield attempt.record()
        before = attempt


_KINDS = (("run", "null"), ("submit", "0"), ("submit", "1"))
_ODD = 16


def _odd(kind: int, attempt: _Attempt, before: _Attempt) -> str:
    """A record of the kind the contract of the API allows and scripts forget."""
    params = attempt.params()
    url = str(params["lis_outcome_service_url"])
    encoded = attempt.course.replace(":", "%3A").replace("+", "%2B")
    match kind:
        case 0:
            return before.record()
        case 1:
            return _flipped(before.record())
        case 2:
            return attempt.record(repr({**params, "oauth_consumer_key": None}))
        case 3:
            return attempt.record(repr({**params, "lis_outcome_service_url": f"{url}?it's"}))
        case 4:
            return attempt.record(json.dumps(params))
        case 5:
            return replace(attempt, course=encoded).record()
        case 6:
            return attempt.record(repr({**params, "lis_result_sourcedid": "no task"}))
        case 7:
            return replace(attempt, kind="submit", verdict="null").record()
        case 8:
            return replace(attempt, kind="submit", verdict="1.0").record()
        case 9:
            return replace(attempt, created_at=f"{attempt.created_at[:19].replace(' ', 'T')}Z").record()
        case 10:
            return attempt.record(repr({**params, "oauth_consumer_key": 'it\'s a "key"\n'}))
        case 11:
            return replace(attempt, kind="run", verdict="0").record()
        case 12:
            return replace(attempt, created_at=f"2023-02-30{attempt.created_at[10:]}").record()
        case 13:
            return attempt.record(repr({"lis_outcome_service_url": url}))
        case 14:
            return replace(attempt, kind="look").record()
        case _:
            return attempt.record("not a dict")


def _flipped(record: str) -> str:
    """The record with the other verdict, if it has one."""
    wrong, right = '"is_correct": 0,', '"is_correct": 1,'
    return record.replace(wrong, right) if wrong in record else record.replace(right, wrong)


@functools.lru_cache(maxsize=50_000)
def _learner_id(number: int) -> str:
    return hashlib.md5(f"learner {number}".encode(), usedforsecurity=False).hexdigest()


@functools.lru_cache(maxsize=1_000)
def _block_id(course: int, task: int) -> str:
    return hashlib.md5(f"task {course} {task}".encode(), usedforsecurity=False).hexdigest()

"""A made-up grader for the models: few learners and tasks, so that everything happens to them, and
awkward ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from embedded.demo_api.dirt import ODD, SPOILED
from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import CONSUMER, SOURCEDID, URL

UTC = timezone.utc
Record = Any
# What the grader can't be taken at its word for; each may come together with others.
_FIELDS: dict[str, list[Any]] = {
    "lti_user_id": [None, "", " \t", "\u3000", 7, "x" * 256, ["x"]],
    "attempt_type": [None, "RUN", "submit ", "", 1, {"a": 1}],
    "is_correct": [2, -1, 0.5, "1", [], {}, "true"],
    "created_at": [
        None,
        "",
        "2023-02-30 10:00:00",
        "1999-12-31 23:59:59.999999",
        "9999-12-31 23:59:59",
        5,
        "x",
    ],
    "passback_params": [
        None,
        "",
        "[]",
        5,
        ["a"],
        "{'lis_result_sourcedid': 'it's'}",
        {},
        "{}",
        "{'lis_result_sourcedid': 5}",
    ],
}
_PARAMS: dict[str, list[Any]] = {
    CONSUMER: [5, "k" * 256, [], True],
    SOURCEDID: [None, "", " ", 5, "x" * 1001, {"a": 1}],
    URL: ["ftp://x", "HTTP://x", "x", 5, [], "https://" + "x" * 2000],
}
# What passback_params come as: most of them the repr of a dict.
_SPELLINGS: list[Callable[[dict[str, Any]], object]] = [repr, repr, repr, json.dumps, dict]


class Grader:
    """Answers made of one seed; the same attempts come again, late, corrected, respelled or
    spoiled.
    """

    def __init__(self, seed: int, zones_at: datetime, days: int = 45) -> None:
        self.rng = random.Random(seed)
        self.now = zones_at
        start = zones_at - timedelta(days=days)
        # Few days with something on them, some near to each other, most with gaps in between.
        self.days = sorted(start + timedelta(days=self.rng.randrange(days)) for _ in range(9))
        self.users = ["anna", "anna ", "Борис", "d\ufffd", "🙂" * 255, 'o\'neil "x"', "zoe", "yan"]
        self.tasks = [
            "course-v1:A+B+C:lms.example.com-b1:learner",
            f"{quote('course-v1:A+B+C', safe='')}:lms-2.example.com-b1:learner",
            "course-v1:A+B+C:lms.example.com-b2:learner",
            "k:h-b1:l",
            "a%zz%ff%E4%BD%A0%00:h-b-1:l",
            "sandbox",
            "x:y:z",
            ":h-b:l",
            "c:-b:l",
            "c:h-:l",
            "c:h-b:",
            'урок\'s "1" \\ {x}:host-b3:l',
        ]
        self.sent: list[Record] = []
        self.valid: list[dict[str, Any]] = []

    def load(self) -> list[Answer]:
        """The answers of the next load, a while later."""
        answers = []
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            self.now += timedelta(seconds=self.rng.randrange(1, 20_000))
            answers.append(Answer(self.now, [self._record() for _ in range(self.rng.choice([0, 1, 8, 25, 40]))]))
        self.now += timedelta(hours=self.rng.randrange(40))
        return answers

    def _record(self) -> Record:
        choice = self.rng.random()
        if choice < 0.15 and self.sent:
            return self.rng.choice(self.sent[-60:])
        if choice < 0.35 and self.valid:
            record = self._respelled(self._corrected(self.rng.choice(self.valid)))
        else:
            attempt = self._attempt()
            self.valid.append(attempt)
            record = self._respelled(attempt)
            if choice > 0.85:
                record = self._spoiled(record)
        self.sent.append(record)
        return record

    def _attempt(self) -> dict[str, Any]:
        rng = self.rng
        kind = rng.choice(["run", "submit", "submit"])
        moment = rng.choice(self.days) + timedelta(
            seconds=rng.choice([0, 0, 1, 3600, rng.randrange(86_400), rng.randrange(-7200, 7200)])
        )
        # Some are ahead of the grader's clock: invalid when first seen, valid when they come again.
        if rng.random() < 0.05:
            moment = self.now + timedelta(hours=rng.randrange(20, 40))
        moment += timedelta(microseconds=rng.choice([0, 0, 1, 999_999, 313_646]))
        return {
            "lti_user_id": rng.choice(self.users),
            "passback_params": {
                CONSUMER: rng.choice(["", "", None, "key", " "]),
                SOURCEDID: rng.choice(self.tasks),
                URL: self._url(),
            },
            "is_correct": None if kind == "run" else rng.choice([0, 0, 1, 1, None]),
            "attempt_type": kind,
            "created_at": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
        }

    def _url(self) -> str | None:
        return self.rng.choice(["", None, " ", "https://lms.example.com/a", "http://x", "https://" + "y" * 1992])

    def _corrected(self, record: dict[str, Any]) -> dict[str, Any]:
        """The same attempt with other values, or with what they were."""
        params = dict(record["passback_params"])
        changed = record | {"passback_params": params}
        if record["attempt_type"] == "submit" and self.rng.random() < 0.7:
            changed["is_correct"] = self.rng.choice([0, 1, None])
        if self.rng.random() < 0.3:
            params[CONSUMER] = self.rng.choice(["", "corrected", None])
        if self.rng.random() < 0.3:
            params[URL] = self._url()
        return changed

    def _respelled(self, record: dict[str, Any]) -> dict[str, Any]:
        """The same values in another spelling."""
        rng = self.rng
        params = record["passback_params"]
        if rng.random() < 0.2:
            params = dict(reversed(params.items()))
        if rng.random() < 0.2:
            params = {name: value for name, value in params.items() if value is not None} | {
                "more": [1, {"it's": (2,)}]
            }
        moment: str = record["created_at"]
        if moment.endswith(".000000") and rng.random() < 0.5:
            moment = moment[:-7]
        moment += rng.choice(["", "", "", "Z", "+00:00", "-00:00"])
        if rng.random() < 0.1:
            there = datetime.strptime(record["created_at"], "%Y-%m-%d %H:%M:%S.%f") + timedelta(hours=5, minutes=30)
            moment = f"{there.isoformat(timespec='microseconds')}+05:30"
        verdict = record["is_correct"]
        if verdict is not None and rng.random() < 0.2:
            verdict = bool(verdict) if rng.random() < 0.5 else float(verdict)
        spelled: dict[str, Any] = {
            **record,
            "passback_params": rng.choice(_SPELLINGS)(params),
            "is_correct": verdict,
            "created_at": moment,
        }
        if verdict is None and rng.random() < 0.2:
            del spelled["is_correct"]
        if rng.random() < 0.1:
            spelled["further"] = rng.choice([None, "x\0y", ["\ud800"], {"a": 0.5}])
        return spelled

    def _spoiled(self, record: dict[str, Any]) -> Record:
        rng = self.rng
        if rng.random() < 0.1:
            return rng.choice([None, "text", 5, True, [], [record], "\0"])
        if (
            rng.random() < 0.3
            and isinstance(record["passback_params"], str)
            and record["passback_params"].startswith("{'")
        ):
            kind = rng.choice([kind for kind in SPOILED + ODD if kind.name != "not_an_object_4"])
            hexadecimal = {
                "lti_user_id": "3583bf109f8b458e13ae1ac9d85c396a",
                "is_correct": record.get("is_correct"),
            }
            # Some kinds spoil what this record lacks.
            with suppress(AttributeError, KeyError, ValueError):
                return json.loads(kind.change(record | hexadecimal))
        spoiled = dict(record)
        for name in rng.sample(sorted(_FIELDS), rng.choice([1, 1, 2, 4])):
            if rng.random() < 0.2:
                spoiled.pop(name, None)
            else:
                spoiled[name] = rng.choice(_FIELDS[name])
        if rng.random() < 0.4:
            params = {CONSUMER: "", SOURCEDID: rng.choice(self.tasks), URL: None}
            for name in rng.sample(sorted(_PARAMS), rng.choice([1, 2, 3])):
                params[name] = rng.choice(_PARAMS[name])
            spoiled["passback_params"] = repr(params)
        return spoiled

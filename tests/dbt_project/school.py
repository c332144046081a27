"""A made-up school for the analytics: some thirty weeks of it, the last eighteen busy, in which everything that
the marts tell of happens. What the grader does to its answers, it does to these, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from tests.dbt_project.grader import UTC, Grader, Record
from tests.dbt_project.oracle import Answer
from tests.dbt_project.oracle_rules import CONSUMER, SOURCEDID, URL

# Days of the school: the first load covers the middle, the second what was before, then come the nights.
FIRST_LOADED, FIRST_NIGHT, SECOND_BUILD, LAST_NIGHT = 40, 150, 185, 223
BUSY_FROM, STEADY_FROM, EXAM_DAY, EMPTY_DAY = 98, 118, 140, 170
# The days that a build sees as the last full one; something is wrong with some tasks on each.
COLLAPSES = (FIRST_NIGHT - 1, SECOND_BUILD - 1, LAST_NIGHT)
_RHYTHM = (1.0, 1.1, 0.9, 1.0, 0.8, 0.4, 0.3)
# Between neighbouring attempts; the border of what counts as active is 600 s.
_GAPS = (600.0, 600.0, 599.999999, 600.000001, 900.0, 4000.0, 0.0, 0.0)
_ODD_TASKS = ("sandbox", "x:y:z", "c:-b:l", "lone 1", "lone 2", "Ω", "k:h-b1:l", 'урок\'s "1" \\ {x}:host-b3:l')
# Tasks with a steady stream of submits, so that a bad day of theirs shows, by how many in ten are correct; for
# schools of even and of odd seeds.
_STEADY = ({"b1": 8, "b2": 8, "b5": 0, "b7": 8}, {"b1": 8, "b2": 10, "b5": 4, "b7": 8})
_HARD, _FOR_GUESTS = ("b4", "b-1"), ("b2", "b5", "b7")
# Tasks on which all or none are right, and stay so.
_NEVER_CORRECTED = ("-b2:", "-b5:", "-e0:")


@dataclass
class Course:
    """A course: how its key is spelled, who learns in it, and when it begins."""

    keys: tuple[str, ...]
    blocks: tuple[str, ...]
    learners: list[str]
    weight: int
    begins: int = 0
    left: dict[str, int] = field(default_factory=dict)


class School(Grader):
    """The loads of each build, made of one seed."""

    def __init__(self, seed: int, zone: ZoneInfo, first_day: date) -> None:
        super().__init__(seed, datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC))
        self.seed, self.zone, self.first_day = seed, zone, first_day
        self.ability = {name: self.rng.uniform(0.15, 0.9) for name in self._names()}
        self.courses = self._courses()
        self.solved: set[tuple[str, str, str]] = set()
        self.tried: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.made: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self.late: list[dict[str, Any]] = []
        for name in self._names()[:6]:
            # From before what anyone asked for.
            self._attempt_at(0, self._instant(-3, 40_000), name, self._sourcedid("Uni/DS/C", "b2"), "submit", 0)
        for number in range(LAST_NIGHT + 1):
            self._day(number)

    # --- the loads ---

    def builds(self) -> Iterator[list[list[Answer]]]:
        """For each build the loads that come before it, each with its answers."""
        rng = self.rng
        weeks = [(start, min(start + 20, FIRST_NIGHT)) for start in range(FIRST_LOADED, FIRST_NIGHT, 20)]
        rng.shuffle(weeks)
        yield [[self._answer(FIRST_NIGHT, *window)] for window in weeks]
        older = [[self._answer(FIRST_NIGHT, 20, FIRST_LOADED), self._answer(FIRST_NIGHT, 0, 20)]]
        yield older + self._nights(FIRST_NIGHT, SECOND_BUILD)
        yield self._nights(SECOND_BUILD, LAST_NIGHT + 1)
        yield [self._afterwards()]

    def plain(self, first: int, end: int, *more: Record) -> Answer:
        """The records of some days as they are, on the morning after, and `more` of other days."""
        self.now = self._instant(end, 3 * 3600)
        records = [record for number in range(first, end) for record in self.made[number]]
        return Answer(self.now, [*map(self._as_sent, records), *more], (self._instant(first, 0), self._instant(end, 0)))

    def made_on(self, number: int) -> Record:
        """An attempt of some day, with another verdict."""
        record = next(record for record in self.made[number] if record["is_correct"] is not None)
        return self._as_sent(record | {"is_correct": 1 - record["is_correct"]})

    def silence(self, first: int, end: int) -> Answer:
        """An answer without records for some days."""
        return Answer(self.now + timedelta(minutes=1), [], (self._instant(first, 0), self._instant(end, 0)))

    def _nights(self, first: int, end: int) -> list[list[Answer]]:
        """A load each night; some nights it fails, and its day comes after a later one's."""
        loads: list[list[Answer]] = []
        missed: list[int] = []
        for number in range(first, end):
            missed.insert(0, number)
            if number == end - 1 or self.rng.random() > 0.12:
                loads.append([self._answer(number + 1, day, day + 1) for day in missed])
                missed = []
        return loads

    def _afterwards(self) -> list[Answer]:
        """Corrections of closed days, what was late, the beginning of the day that is not over, and a lot of rubbish;
        or a day later, when nothing has come for the day between.
        """
        silent = self.rng.random() < 0.5
        if not silent:
            self._day(LAST_NIGHT + 1, until_hour=9)
        answer = self._answer(LAST_NIGHT + (2 if silent else 1), LAST_NIGHT + 1, LAST_NIGHT + 2)
        corrected = [self._respelled(self._corrected(self._any_sent())) for _ in range(40)]
        late = [self._respelled(record) for record in self.late]
        rubbish = [self.rng.choice(self.valid) | {"attempt_type": "bug", "n": number} for number in range(130)]
        fetched_at = answer.fetched_at + timedelta(hours=10)
        window_start = self._instant(LAST_NIGHT + 1, 0)
        window_end = window_start + timedelta(days=1) if silent else fetched_at + timedelta(hours=3)
        records = [*answer.records, *corrected, *late, *map(self._as_sent, rubbish)]
        return [Answer(fetched_at, records, (window_start, window_end))]

    def _answer(self, fetched_on: int, first: int, end: int) -> Answer:
        """The records of some days, but for late ones; some come twice, some spoiled, some corrected."""
        rng = self.rng
        self.now = max(self.now + timedelta(seconds=1), self._instant(fetched_on, 3 * 3600 + rng.randrange(3600)))
        records: list[Record] = []
        for record in (record for number in range(first, end) for record in self.made[number]):
            self.valid.append(record)
            if rng.random() < 0.04:
                self.late.append(record)
                continue
            records.append(self._respelled(record))
            if rng.random() < 0.05:
                records.append(self._respelled(self._corrected(self._any_sent())))
            if rng.random() < 0.05:
                records.append(rng.choice(records))
        spoiled = rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 30]) if records else 0
        records += [self._spoiled(self._respelled(rng.choice(self.valid))) for _ in range(spoiled)]
        records += [self._respelled(self.late.pop(rng.randrange(len(self.late)))) for _ in self.late[:2]]
        window_end = self._instant(end, 0)
        if rng.random() < 0.1:
            # Only until it was fetched, whatever was asked for.
            window_end += timedelta(hours=rng.randrange(5))
        return Answer(self.now, records, (self._instant(first, 0), window_end))

    def _any_sent(self) -> dict[str, Any]:
        """Any attempt that may be corrected."""
        while True:
            record = self.rng.choice(self.valid)
            if not any(block in record["passback_params"][SOURCEDID] for block in _NEVER_CORRECTED):
                return record

    def _as_sent(self, record: dict[str, Any]) -> Record:
        return record | {"passback_params": repr(record["passback_params"])}

    # --- the school ---

    def _names(self) -> list[str]:
        return [*(f"learner-{number}" for number in range(75)), "anna", "anna ", "Борис", 'o\'neil "x"', "🙂" * 255]

    def _courses(self) -> list[Course]:
        names = self._names()
        blocks = tuple(f"b{number}" for number in range(10))
        courses = [
            Course(("course-v1:Uni+DS+A",), blocks, names[:40], 12),
            Course(("course-v1:Uni+DS+B", "Uni/DS/B"), (*blocks[:6], "b20"), names[30:72], 5, BUSY_FROM + 20),
            Course(("Uni/DS/C",), blocks[2:5], names[40:50], 1, BUSY_FROM + 60),
            Course(("course-v1:Uni+Algebra+1:2", "course-v1:Uni+Al/gebra+1"), ("b0", "b-1"), names[60:], 2),
            Course(("",), (), names[:40], 4),
        ]
        for course in courses:
            course.left = {
                name: self.rng.randrange(course.begins, 2 * LAST_NIGHT - course.begins) for name in course.learners
            }
        return courses

    def _instant(self, number: int, seconds: float) -> datetime:
        """So long after the beginning of a day of the school."""
        day = self.first_day + timedelta(days=number)
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
        return midnight + timedelta(seconds=seconds)

    def _day(self, number: int, until_hour: int = 24) -> None:
        rng = self.rng
        if number == EMPTY_DAY:
            return
        weekday = (self.first_day + timedelta(days=number)).weekday()
        busy = number >= BUSY_FROM or number < 8
        sessions = 5.5 * _RHYTHM[weekday] * rng.uniform(0.8, 1.2) if busy else rng.choice([0, 1, 1, 2])
        if rng.random() < 0.06:
            sessions *= rng.choice([0, 0.3, 2.5, 4])
        open_courses = [course for course in self.courses if course.begins <= number]
        for course in rng.choices(open_courses, [course.weight for course in open_courses], k=round(sessions)):
            present = [name for name in course.learners if course.left[name] >= number]
            if present:
                self._session(number, until_hour, course, rng.choice(present))
        if number >= STEADY_FROM and until_hour == 24:
            self._steady(number)
        if number in COLLAPSES:
            self._collapse(number)
        if number == EXAM_DAY:
            self._exam(number)
        if number in COLLAPSES[1:]:
            self._busy_week(number)

    def _session(self, number: int, until_hour: int, course: Course, user: str) -> None:
        """A learner at a task: the next one, or one not solved yet."""
        rng = self.rng
        if not course.blocks:
            for sourcedid in rng.sample(_ODD_TASKS, 2):
                self._work(number, until_hour, user, sourcedid, self.ability[user], rng.choice([1, 2, 3]))
            return
        key = course.keys[hash_of(user) % len(course.keys)]
        for _ in range(rng.choice([1, 1, 2, 3])):
            tried = self.tried[user, key]
            unsolved = [block for block in tried if (user, key, block) not in self.solved]
            ahead = [block for block in course.blocks if block not in tried and block not in _FOR_GUESTS]
            if unsolved and (rng.random() < 0.4 or not ahead):
                block = rng.choice(unsolved)
            else:
                block = rng.choice(ahead[:2] or course.blocks[:3])
            if block not in tried:
                tried.append(block)
            hard = block in _HARD
            chance = min(max(self.ability[user] - 0.6 * hard, 0.03), 0.97)
            patience = rng.choice([12, 14]) if hard and rng.random() < 0.5 else rng.choice([1, 2, 3, 4])
            sourcedid = self._sourcedid(key, block)
            if self._work(number, until_hour, user, sourcedid, chance, patience):
                self.solved.add((user, key, block))

    def _work(self, number: int, until_hour: int, user: str, sourcedid: str, chance: float, patience: int) -> bool:
        """Runs and submits until it is right or patience ends; whether it became right."""
        rng = self.rng
        moment = self._instant(number, rng.randrange(7 * 3600, min(until_hour, 23) * 3600) + rng.random())
        for _ in range(rng.choice([0, 0, 1, 2])):
            self._attempt_at(number, moment, user, sourcedid, "run", None)
            moment += self._gap()
        for _ in range(patience):
            verdict = int(rng.random() < chance)
            graded = rng.random() >= 0.05
            self._attempt_at(number, moment, user, sourcedid, "submit", verdict if graded else None)
            if verdict and graded:
                # Some go on: at the same instant by another spelling of the task, or later.
                if rng.random() < 0.12:
                    self._attempt_at(number, moment, user, _respelled_task(sourcedid), "submit", 0)
                if rng.random() < 0.15:
                    self._attempt_at(number, moment + self._gap(), user, sourcedid, "submit", rng.choice([0, 1, None]))
                return True
            if rng.random() < 0.1 and ":lms" in sourcedid:
                # At the same instant on another task.
                twin = self._sourcedid("course-v1:Uni+DS+A", "b9")
                self._attempt_at(number, moment, user, twin, "run", None)
            if rng.random() < 0.2:
                self._attempt_at(number, moment + timedelta(seconds=20), user, sourcedid, "run", None)
            moment += self._gap()
            sourcedid = _respelled_task(sourcedid) if rng.random() < 0.1 else sourcedid
        return False

    def _gap(self) -> timedelta:
        if self.rng.random() < 0.25:
            return timedelta(seconds=self.rng.choice(_GAPS))
        return timedelta(seconds=self.rng.uniform(3, 250))

    def _steady(self, number: int) -> None:
        """Three submits of each steady task, by guests."""
        for block, in_ten in _STEADY[self.seed % 2].items():
            if number in COLLAPSES and block != "b1":
                continue
            for guest in self.rng.sample(range(12), 3):
                correct = int(self.rng.randrange(10) < in_ten)
                self._guest(number, f"guest-{block}-{guest}", block, [correct])

    def _guest(self, number: int, user: str, block: str, verdicts: Iterable[int | None]) -> None:
        moment = self._instant(number, self.rng.randrange(8 * 3600, 22 * 3600))
        for verdict in verdicts:
            moment += timedelta(seconds=self.rng.randrange(10, 800))
            self._attempt_at(number, moment, user, self._sourcedid("course-v1:Uni+DS+A", block), "submit", verdict)

    def _collapse(self, number: int) -> None:
        """A task that fails those who had solved it, one that fails strong learners, one that fails newcomers only,
        one that takes everything, one without verdicts.
        """
        rng = self.rng
        for guest in range(9):
            self._guest(number, f"guest-b1-{guest}", "b1", [0, 0][: rng.choice([1, 2])])
        strong = [name for name in self.courses[0].learners if len(self.tried[name, "course-v1:Uni+DS+A"]) >= 6]
        for name in strong[:25]:
            self._guest(number, name, "b7", [rng.choice([0, 0, 0, 0, 0, 1])])
        for guest in range(10):
            self._guest(number, f"newcomer-{number}-{guest}", "b2", [0, rng.choice([0, 0, 0, 1])])
        for guest in range(7):
            self._guest(number, f"newcomer-{number}-{guest}", "b5", [1, 1, 1])
        for guest in range(6):
            self._guest(number, f"newcomer-{number}-{guest}", "b6", [1, None, 0, 1])

    def _exam(self, number: int) -> None:
        """Tasks that tell good learners from others, and one that everybody solves at once."""
        for name in self._names()[:36]:
            moment = self._instant(number, self.rng.randrange(30_000, 60_000))
            for block in range(7):
                moment += self._gap() + timedelta(seconds=1)
                verdict = int(block == 0 or self.rng.random() < self.ability[name])
                sourcedid = self._sourcedid("Uni/Exam/1", f"e{block}")
                self._attempt_at(number, moment, name, sourcedid, "submit", verdict)

    def _busy_week(self, number: int) -> None:
        """Many learners who all solve their tasks, in few submits or in many."""
        for name in range(24):
            moment = self._instant(number - self.rng.randrange(7), 45_000)
            submits = self.rng.choice([1, 1, 1, 2, 2, 3, 4])
            for block, verdict in [(block, int(n == submits)) for block in "xy" for n in range(1, submits + 1)]:
                moment += self._gap() + timedelta(seconds=1)
                sourcedid = self._sourcedid("course-v1:Uni+Week+1", block)
                self._attempt_at(number, moment, f"busy-{name}", sourcedid, "submit", verdict)

    def _attempt_at(
        self, number: int, moment: datetime, user: str, sourcedid: str, kind: str, verdict: int | None
    ) -> None:
        self.made[number].append(
            {
                "lti_user_id": user,
                "passback_params": {
                    CONSUMER: self.rng.choice(["", "", None, "key"]),
                    SOURCEDID: sourcedid,
                    URL: self._url_of(sourcedid),
                },
                "is_correct": verdict,
                "attempt_type": kind,
                "created_at": moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            }
        )

    def _sourcedid(self, key: str, block: str) -> str:
        spelled = quote(key, safe="") if self.rng.random() < 0.2 else key
        return f"{spelled}:lms.example.com-{block}:learner"

    def _url_of(self, sourcedid: str) -> str | None:
        if ":lms" not in sourcedid or self.rng.random() < 0.1:
            return self._url()
        key, _, rest = sourcedid.partition(":lms")
        block = rest.split("-", 1)[1].split(":")[0]
        scheme = self.rng.choice(["https", "https", "http"])
        usage = quote(f"block-v1:{block}", safe=self.rng.choice(["", ":"]))
        end = self.rng.choice(["handler_noauth/grade", "handler/grade", "handle"])
        return f"{scheme}://lms.example.com/courses/{key}/xblock/{usage}/{end}"


def _respelled_task(sourcedid: str) -> str:
    """The same task on another host: another attempt at the same instant."""
    return sourcedid.replace(":lms.", ":lms-2.") if ":lms." in sourcedid else sourcedid


def hash_of(text: str) -> int:
    """A number of a text, the same in every process."""
    return sum(map(ord, text))

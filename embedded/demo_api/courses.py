"""The demo school's courses, their runs and their tasks, for any year.

As on edX, a course is run again and again: each run has a course key of its own, while its blocks keep their
ids, so only course key and block id together name a task. School, courses and host are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from hashlib import md5

HOST = "lms.demo-academy.example"
_FIRST_MONDAY = date(2000, 1, 3).toordinal()
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUNE", "JULY", "AUG", "SEPT", "OCT", "NOV", "DEC")
_INTAKE = (1.1, 1.05, 1.0, 1.0, 0.97, 0.95, 0.92, 0.95, 1.05, 1.05, 1.0, 0.95)
_LAGGARDS_WEEKS = 2


@dataclass(frozen=True)
class Task:
    """One block of a course: its difficulty (0 to 1) and its records' JSON text around the learner's id."""

    difficulty: float
    before_id: str
    after_id: str


def lti_task(course_key: str, block: str, difficulty: float = 0.5) -> Task:
    """The task that is this block of this course's run."""
    url = (
        f"https://{HOST}/courses/{course_key}/xblock/{course_key.replace('course-v1', 'block-v1')}"
        f"+type@lti+block@{block}/handler_noauth/grade_handler"
    )
    return Task(
        difficulty=difficulty,
        before_id=(
            "\", \"passback_params\": \"{'oauth_consumer_key': '', 'lis_result_sourcedid': '"
            f"{course_key}:{HOST}-{block}:"
        ),
        after_id=f"', 'lis_outcome_service_url': '{url}'}}\", \"is_correct\": ",
    )


@dataclass(frozen=True)
class Course:
    """A course: `modules` weeks of tasks, a new run every `every` weeks, `learners` in an average run."""

    code: str
    modules: int
    every: int
    learners: int
    hardness: float


# A run lasts about as long as two, three or four rounds of its course, so that the school's size hardly changes.
COURSES = (
    Course("PYB-2.0", 12, 6, 280, 0.38),
    Course("PYADV-1.1", 16, 8, 210, 0.52),
    Course("SQLB-3.0", 10, 5, 200, 0.42),
    Course("DSC-3.0", 26, 9, 290, 0.55),
    Course("MLE-1.0", 24, 8, 155, 0.62),
    Course("DAN-2.4", 20, 5, 190, 0.48),
    Course("ALG-1.2", 14, 7, 145, 0.66),
    Course("STAT-1.0", 10, 5, 120, 0.58),
)


@dataclass(frozen=True)
class Run:
    """One run of a course, from the Monday `start` (a date's ordinal) on."""

    course: Course
    start: int

    @cached_property
    def key(self) -> str:
        """The course key, for example course-v1:DemoAcademy+PYB-2.0+04SEPT2023."""
        day = date.fromordinal(self.start)
        return f"course-v1:DemoAcademy+{self.course.code}+{day.day:02d}{_MONTHS[day.month - 1]}{day.year}"

    @cached_property
    def learners(self) -> int:
        """How many enrolled, at scale 1."""
        luck = 0.9 + 0.2 * _number(self.key)
        return round(self.course.learners * luck * _INTAKE[date.fromordinal(self.start).month - 1])

    @cached_property
    def modules(self) -> tuple[tuple[Task, ...], ...]:
        """The tasks of each module; a module is meant to take a week."""
        return tuple(tuple(self._tasks(module)) for module in range(self.course.modules))

    def _tasks(self, module: int) -> Iterator[Task]:
        for number in range(4 + int(4 * _number(f"{self.course.code}/{module}"))):
            block = md5(f"{self.course.code}/{module}/{number}".encode(), usedforsecurity=False).hexdigest()
            spread = _number(block) - 0.5
            growth = 0.2 * (module / self.course.modules - 0.5)
            difficulty = self.course.hardness + 0.6 * spread + growth
            yield lti_task(self.key, block, min(1.0, max(0.0, difficulty)))

    def attendance(self, week: int) -> float:
        """The share of the enrolled who study in a week of the run: they drop out, some return to the end."""
        remaining = 0.95 / (1 + 0.055 * week)
        return remaining * (1.1 if self.course.modules - 2 <= week < self.course.modules else 1.0)

    def learner_id(self, number: int) -> str:
        """The id of a learner, 32 hex digits; edX names the same person differently in each course."""
        return md5(f"{self.key}#{number}".encode(), usedforsecurity=False).hexdigest()


def _number(text: str) -> float:
    """A stable number in [0, 1) for a text."""
    return int(md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32


_run = lru_cache(maxsize=64)(Run)


def runs_on(day: int) -> Iterator[Run]:
    """The runs in which somebody may study on a day (a date's ordinal), always in the same order."""
    this_week = (day - _FIRST_MONDAY) // 7
    for number, course in enumerate(COURSES):
        for week in range(this_week - course.modules - _LAGGARDS_WEEKS + 1, this_week + 1):
            if (week - number) % course.every == 0:
                yield _run(course, _FIRST_MONDAY + 7 * week)

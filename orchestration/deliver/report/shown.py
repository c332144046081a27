"""What the page's tables show: which rows, in which order, and the evidence in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import (
    COURSES,
    DAILY,
    LOADS,
    REPAIR,
    Number,
    Row,
    label_of,
)
from orchestration.deliver.figures import QUIET_DAY, Figures
from orchestration.deliver.report.embedded import days_shown, places
from orchestration.deliver.words import METRICS, NO_COURSE
from orchestration.summary import MetricVerdict

TASKS = 100
"""The most costly tasks that everybody sees; of each course some more are there for who asks for it."""
TASKS_OF_COURSE = 10
TASKS_AT_ONCE = 25
"""As many of them are shown until somebody wants to see all."""
MOVERS = {"course": 8, "task": 12}
MOVERS_OF_COURSE = 5
LOADS_SHOWN, REVISIONS_SHOWN, WARNINGS_SHOWN = 14, 20, 13

URGENT = {"broken": "bad", "hard": "warn", "passes_everything": "warn", "mute": "bad"}
"""The colour of each kind of incident."""
STATES = {
    "learners_new": mark("first attempt in the course within the last 7 days"),
    "learners_stuck": mark("at work in the last 14 days on a task still unsolved: 10 wrong submits or half an hour"),
    "learners_struggling": mark("over 2 graded submits for each task solved in 7 days, among the course's slowest"),
    "learners_disengaging": mark("active the week before last, not in the last 7 days"),
    "learners_at_risk": mark("silent for 7 to 27 days, with a task unsolved"),
    "learners_dormant": mark("silent for 28 days or longer"),
}
FLAGS = {state.removeprefix("learners_"): label_of(state) for state in STATES}
REASONS = {
    "not_an_object": mark("the record is no object"),
    "user_id_invalid": mark("no usable learner's id"),
    "passback_params_invalid": mark("unreadable passback_params"),
    "lis_result_sourcedid_invalid": mark("no usable lis_result_sourcedid"),
    "lis_outcome_service_url_invalid": mark("an address that is none"),
    "oauth_consumer_key_invalid": mark("no usable consumer key"),
    "attempt_type_invalid": mark("neither a run nor a submit"),
    "is_correct_invalid": mark("a verdict that is none"),
    "is_correct_on_run": mark("a verdict on a run"),
    "created_at_invalid": mark("no usable time"),
    "created_at_in_future": mark("a time in the future"),
}
LABELS = {
    **FLAGS,
    "learner_hours_lost": mark("Hours lost"),
    "expected": mark("Usual value"),
    "band_low": mark("Usual from"),
    "band_high": mark("Usual to"),
    "verdict": mark("Verdict"),
    "success_effect": mark("Effect on the success rate"),
    "kind": mark("Incident"),
    "solved_before_failing_now": mark("Solved before, failing now"),
    "active_learners": mark("Active learners"),
    "old_value": mark("Was"),
    "new_value": mark("Is now"),
    "candidates": mark("Active before"),
    "flagged": mark("Flagged"),
    "vanished": mark("Vanished"),
    "precision": mark("Hits of the flags"),
    "recall": mark("Vanished that were flagged"),
    "base_rate": mark("Vanished of all"),
    "lift": mark("Better than chance"),
}
"""Labels of what no worksheet shows."""
DEFINED = {
    "daily_metrics": (*DAILY.names[1:7], "new_users"),
    "daily_verdicts": ("expected", "band_low", "band_high", "verdict"),
    "daily_movers": ("success_effect",),
    "task_incidents": ("kind", "solved_before_failing_now"),
    "courses": (*COURSES.names[1:4], "first_submit_success"),
    "learner_courses": tuple(FLAGS),
    "tasks": (
        "learner_hours_lost",
        "learner_hours_lost_28d",
        "repair_rank",
        "solve_rate",
        "submits_to_solve_median",
        "discrimination",
    ),
    "cohort_retention": ("active_learners",),
    "load_receipts": LOADS.names[2:6],
    "day_revisions": ("old_value", "new_value"),
    "warning_scorecard": ("candidates", "flagged", "vanished", "precision", "recall", "base_rate", "lift"),
}
"""The columns whose meaning the page tells, by mart, in the order of its parts."""
_LISTED = {column.name for sheet in (DAILY, COURSES, REPAIR, LOADS) for column in sheet.columns}


@dataclass(frozen=True)
class Tile:
    """A key figure of the day beside what is usual and what was a week before."""

    metric: str
    label: str
    value: Number
    low: Number
    high: Number
    week_before: Number
    verdict: str


@dataclass(frozen=True)
class Shown:
    """A row of a table: the course it belongs to by its place, and whether only that course's reader sees it."""

    row: Row
    course: int
    more: bool = False

    @property
    def is_small(self) -> bool:
        return bool(self.row["is_small"])


def tiles(figures: Figures) -> list[Tile]:
    """The key figures of the last full day: those that are judged, and the new learners."""
    last, before = figures.last_full_day, figures.week_before
    if last is None:
        return []
    judged = {found.metric: found for found in figures.verdict.metrics} if figures.verdict else {}
    tiles = []
    for metric in ("attempts", "unique_users", "success_rate", "new_users"):
        found = judged.get(metric) or MetricVerdict(metric, "no_history", None, None, None, None)
        week = before.values.get(metric) if before else None
        label = label_of(metric)
        tiles.append(Tile(metric, label, last.values.get(metric), found.low, found.high, week, found.verdict))
    rejected = judged.get("rejected_share")
    if rejected is not None and rejected.value is not None:
        name, label = rejected.metric, mark("Rejected records")
        tiles.append(Tile(name, label, rejected.value, rejected.low, rejected.high, None, rejected.verdict))
    return tiles


def movers(figures: Figures, dimension: str) -> list[Shown]:
    """What moved the day, the largest effect first."""
    place, of_task = places(figures), {task["task_id"]: task["course_key"] for task in figures.tasks}
    rows = [row for row in figures.movers if row["dimension"] == dimension]
    courses = [row["key"] if dimension == "course" else of_task.get(row["key"]) for row in rows]
    kept = MOVERS_OF_COURSE if dimension == "task" else 1
    return list(_chosen(rows, [place.get(key or NO_COURSE, -1) for key in courses], MOVERS[dimension], kept))


def repairs(figures: Figures) -> list[Shown]:
    """The tasks that cost learners time in 28 days, the most costly first."""
    place = places(figures)
    rows = [task for task in figures.tasks if task["repair_rank"] is not None]
    return list(_chosen(rows, [place.get(row["course_key"] or NO_COURSE, -1) for row in rows], TASKS, TASKS_OF_COURSE))


def _chosen(rows: Sequence[Row], courses: Sequence[int], shown: int, of_course: int) -> Iterator[Shown]:
    """The first rows, and of each course its own first ones."""
    seen: dict[int, int] = {}
    for number, (row, course) in enumerate(zip(rows, courses, strict=True)):
        seen[course] = seen.get(course, 0) + 1
        if number < shown or seen[course] <= of_course:
            yield Shown(row, course, more=number >= shown)


def reasons(figures: Figures) -> list[tuple[str, int]]:
    """Why records of the loads shown were rejected, the most frequent reason first."""
    found: dict[str, int] = {}
    for receipt in figures.receipts[:LOADS_SHOWN]:
        for reason, count in receipt.counts.rejected_by_reason.items():
            found[reason] = found.get(reason, 0) + count
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def definitions(figures: Figures) -> list[tuple[str, str]]:
    """The label and the meaning of each figure of the page, as dbt describes it; each label once."""
    found: dict[str, str] = {}
    for mart, names in DEFINED.items():
        known: Mapping[str, str] = figures.descriptions.get(mart, {})
        for name in names:
            if description := known.get(name):
                found.setdefault(label(name), description)
    return list(found.items())


def label(name: str) -> str:
    """A column's label: that of the worksheets, or the page's own."""
    return label_of(name) if name in _LISTED else LABELS.get(name, name)


def metric_label(name: str) -> str:
    """A figure that is judged, at the beginning of a sentence."""
    return label_of(name) if name in _LISTED else METRICS.get(name, name)


def day_rows(figures: Figures) -> list[tuple[date, Mapping[str, Number]]]:
    """The days of the page, newest first."""
    known = {day.date: day.values for day in figures.days}
    return [(day, known.get(day, QUIET_DAY)) for day in reversed(days_shown(figures))]

"""The columns people see, and the worksheets they stand in: names, labels, kinds, order.

Sheet, mail, report and screen all read these lists. What a column means is written in the dbt
project; its comments in the warehouse are what the worksheet `About` and the report show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from orchestration.deliver.catalogue import mark

Kind = Literal["count", "share", "decimal", "plain", "date", "time", "text", "flag"]
"""What a column's values are; `plain` is a number of any kind, shown as it is."""
Number = int | float | None
Row = Mapping[str, Any]
"""A row by column name; numeric as float, times in the report zone."""


@dataclass(frozen=True)
class Column:
    """A column: its name in the mart, what its values are, its label for people.

    `on_quiet_day` is its value for a day without attempts; None where that is undefined, or needs
    other days as well. `width` is in pixels; 0 means that the name decides.
    """

    name: str
    kind: Kind
    label: str
    on_quiet_day: int | None = None
    width: int = 0

    @property
    def pixels(self) -> int:
        return self.width or 66 + 5 * len(self.name)

    @property
    def left(self) -> bool:
        """Whether its cells are aligned left, with a little padding; numbers are aligned right."""
        return self.kind in {"date", "time", "text", "flag"}


@dataclass(frozen=True)
class Worksheet:
    """A worksheet that shows a mart; `grain` says in words what one row is."""

    title: str
    mart: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_PERIOD = (
    Column("attempts", "count", mark("Attempts"), on_quiet_day=0),
    Column("runs", "count", mark("Runs"), on_quiet_day=0),
    Column("submits", "count", mark("Submits"), on_quiet_day=0),
    Column("correct_submits", "count", mark("Correct submits"), on_quiet_day=0),
    Column("success_rate", "share", mark("Success rate")),
    Column("unique_users", "count", mark("Unique users"), on_quiet_day=0),
    Column("attempts_per_user", "decimal", mark("Attempts per user")),
    Column("users_without_correct", "count", mark("Users without a correct submit"), on_quiet_day=0),
    Column("avg_attempts_to_first_correct", "decimal", mark("Attempts to first correct")),
    Column("new_users", "count", mark("New users"), on_quiet_day=0),
)
_COMPLETE = Column("is_complete", "flag", mark("Complete"), width=90)
_TASK = Column("title", "text", mark("Task"), width=220)
_COURSE = Column("course_title", "text", mark("Course"), width=220)

DAILY = Worksheet(
    title=mark("Daily metrics"),
    mart="daily_metrics",
    grain=mark("one row per calendar day, oldest first"),
    columns=(
        Column("activity_date", "date", mark("Day")),
        *_PERIOD,
        Column("unique_users_7d", "count", mark("Unique users, 7 days")),
        Column("unique_users_30d", "count", mark("Unique users, 30 days")),
    ),
)
WEEKLY = Worksheet(
    title=mark("Weekly"),
    mart="weekly_metrics",
    grain=mark("one row per week, newest first"),
    columns=(Column("week_start", "date", mark("Week from"), width=100), *_PERIOD, _COMPLETE),
)
MONTHLY = Worksheet(
    title=mark("Monthly"),
    mart="monthly_metrics",
    grain=mark("one row per month, newest first"),
    columns=(Column("month_start", "date", mark("Month from"), width=100), *_PERIOD, _COMPLETE),
)
COURSES = Worksheet(
    title=mark("Courses"),
    mart="courses",
    grain=mark("one row per course, those with most active learners first"),
    columns=(
        Column("title", "text", mark("Course"), width=220),
        Column("learners", "count", mark("Learners"), width=90),
        Column("learners_active_7d", "count", mark("Active, 7 days"), width=130),
        Column("learners_active_28d", "count", mark("Active, 28 days"), width=135),
        Column("tasks", "count", mark("Tasks"), width=80),
        Column("attempts", "count", mark("Attempts")),
        Column("success_rate", "share", mark("Success rate")),
        Column("first_submit_success", "share", mark("Right at the first submit")),
        Column("learners_new", "count", mark("New"), width=100),
        Column("learners_stuck", "count", mark("Stuck"), width=110),
        Column("learners_struggling", "count", mark("Struggling"), width=135),
        Column("learners_disengaging", "count", mark("Disengaging"), width=145),
        Column("learners_at_risk", "count", mark("At risk"), width=115),
        Column("learners_dormant", "count", mark("Dormant"), width=120),
        Column("learner_hours_lost_28d", "decimal", mark("Hours lost, 28 days"), width=160),
        Column("first_day", "date", mark("First day"), width=100),
        Column("last_day", "date", mark("Last day"), width=100),
        Column("is_small", "flag", mark("Fewer than 5 learners"), width=90),
        Column("course_key", "text", mark("Course key"), width=340),
    ),
)
REPAIR = Worksheet(
    title=mark("Tasks to repair"),
    mart="tasks",
    grain=mark("one row per task that cost learners time in the last 28 days, the most costly first"),
    columns=(
        Column("repair_rank", "count", mark("Rank"), width=90),
        _TASK,
        _COURSE,
        Column("learner_hours_lost_28d", "decimal", mark("Hours lost, 28 days"), width=160),
        Column("learners", "count", mark("Learners"), width=90),
        Column("learners_stuck", "count", mark("Stuck"), width=110),
        Column("success_rate", "share", mark("Success rate")),
        Column("solve_rate", "share", mark("Solved by"), width=100),
        Column("first_submit_success", "share", mark("Right at the first submit")),
        Column("submits_to_solve_median", "count", mark("Submits to solve, median"), width=165),
        Column("discrimination", "decimal", mark("Discrimination"), width=120),
        Column("is_small", "flag", mark("Fewer than 5 learners"), width=90),
        Column("lms_url", "text", mark("Link"), width=420),
        Column("task_id", "text", mark("Task id"), width=240),
    ),
)
CHANGES = Worksheet(
    title=mark("Changes"),
    mart="day_revisions",
    grain=mark("one row per figure of a closed day that was published anew, newest first"),
    columns=(
        Column("activity_date", "date", mark("Day"), width=110),
        Column("metric", "text", mark("Figure"), width=240),
        Column("old_value", "plain", mark("Was"), width=150),
        Column("new_value", "plain", mark("Is now"), width=150),
        Column("revised_at", "time", mark("Changed at"), width=140),
    ),
)
PERIODS = Worksheet(
    title=mark("Periods"),
    mart="daily_metrics",
    grain=mark("one row per window that was asked for, the latest asked first"),
    columns=(
        Column("window_start", "time", mark("From"), width=140),
        Column("window_end", "time", mark("To (excluded)"), width=140),
        *_PERIOD,
        Column("computed_at", "time", mark("Computed at"), width=140),
    ),
)
LOADS = Worksheet(
    title=mark("Data quality"),
    mart="load_receipts",
    grain=mark("one row per load, newest first"),
    columns=(
        Column("loaded_at", "time", mark("Loaded at"), width=140),
        Column("_dlt_load_id", "text", mark("Load"), width=160),
        Column("fetched", "count", mark("Fetched"), width=90),
        Column("accepted", "count", mark("Accepted"), width=90),
        Column("repeated", "count", mark("Repeated"), width=90),
        Column("rejected", "count", mark("Rejected"), width=90),
        Column("rejected_by_reason", "text", mark("Rejected, by reason"), width=620),
    ),
)
LEARNERS = Worksheet(
    title=mark("Learners to help"),
    mart="learner_courses",
    grain=mark("one row per learner and course, stuck or at risk"),
    columns=(
        Column("user_id", "text", mark("Learner"), width=280),
        _COURSE,
        Column("reasons", "text", mark("Why"), width=240),
        Column("days_silent", "count", mark("Days silent"), width=100),
        Column("tasks_stuck", "count", mark("Tasks stuck on"), width=110),
        Column("tasks_unsolved", "count", mark("Tasks unsolved"), width=120),
        Column("tasks_solved", "count", mark("Tasks solved"), width=110),
        Column("graded_submits_7d", "count", mark("Graded submits, 7 days"), width=150),
        Column("success_rate", "share", mark("Success rate")),
        Column("last_day", "date", mark("Last day"), width=100),
    ),
)
SUMMARY_TITLE = mark("Summary")
ABOUT_TITLE = mark("About")
ABOUT_COLUMNS = (
    Column("Item", "text", mark("Item"), width=280),
    Column("Meaning", "text", mark("Meaning"), width=900),
)

TITLES = (DAILY.title, LOADS.title, ABOUT_TITLE)

KEY_FIGURES = ("attempts", "unique_users", "success_rate")
"""The figures that are shown first."""

_LISTED = {
    column.name: column
    for worksheet in (REPAIR, LEARNERS, COURSES, LOADS, WEEKLY, DAILY)
    for column in worksheet.columns
}


def kind_of(name: str, value: object) -> Kind:
    """The kind of a value in the column `name`: as listed, or else by the value's own type."""
    if name in _LISTED:
        return _LISTED[name].kind
    if name.endswith(("_rate", "_share")):
        return "share"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, datetime):
        return "time"
    if isinstance(value, date):
        return "date"
    if isinstance(value, int) or value is None:
        return "count"
    return "decimal" if isinstance(value, float) else "text"


def label_of(name: str) -> str:
    """The label of a column by its name; the name itself where none is listed."""
    return _LISTED[name].label if name in _LISTED else name

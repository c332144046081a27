"""The columns people see, and the worksheets they stand in: names, labels, kinds, order.

Sheet, mail, picture and screen all read these lists. What a column means is written in the dbt
project; its comments in the warehouse are what the worksheet `About` shows.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["count", "share", "decimal", "date", "time", "text"]


@dataclass(frozen=True)
class Column:
    """A column: its name in the mart, what its values are, its label in the mail.

    `on_quiet_day` is its value for a day without attempts; None where that is undefined, or needs
    other days as well. `width` is in pixels; 0 means that the name decides.
    """

    name: str
    kind: Kind
    label: str = ""
    on_quiet_day: int | None = None
    width: int = 0

    @property
    def pixels(self) -> int:
        return self.width or 66 + 5 * len(self.name)

    @property
    def left(self) -> bool:
        """Whether its cells are aligned left, with a little padding; numbers are aligned right."""
        return self.kind in {"date", "time", "text"}


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


DAILY = Worksheet(
    title="Daily metrics",
    mart="daily_metrics",
    grain="one row per calendar day, oldest first",
    columns=(
        Column("activity_date", "date"),
        Column("attempts", "count", "Attempts", on_quiet_day=0),
        Column("runs", "count", "Runs", on_quiet_day=0),
        Column("submits", "count", "Submits", on_quiet_day=0),
        Column("correct_submits", "count", "Correct submits", on_quiet_day=0),
        Column("success_rate", "share", "Success rate"),
        Column("unique_users", "count", "Unique users", on_quiet_day=0),
        Column("attempts_per_user", "decimal", "Attempts per user"),
        Column("users_without_correct", "count", "Users without a correct submit", on_quiet_day=0),
        Column("avg_attempts_to_first_correct", "decimal", "Attempts to first correct"),
        Column("new_users", "count", "New users", on_quiet_day=0),
        Column("unique_users_7d", "count", "Unique users, 7 days"),
        Column("unique_users_30d", "count", "Unique users, 30 days"),
    ),
)
LOADS = Worksheet(
    title="Data quality",
    mart="load_receipts",
    grain="one row per load, newest first",
    columns=(
        Column("loaded_at", "time", width=140),
        Column("_dlt_load_id", "text", width=160),
        Column("fetched", "count", width=90),
        Column("accepted", "count", width=90),
        Column("repeated", "count", width=90),
        Column("rejected", "count", width=90),
        Column("rejected_by_reason", "text", width=620),
    ),
)
ABOUT_TITLE = "About"
ABOUT_COLUMNS = (Column("Item", "text", width=280), Column("Meaning", "text", width=900))
TITLES = (DAILY.title, LOADS.title, ABOUT_TITLE)

KEY_FIGURES = {"attempts": "attempts", "unique_users": "users", "success_rate": "success"}
"""The figures that the mail shows first and its subject names, with their word in the subject."""


def kind_of(name: str, value: object) -> Kind:
    """The kind of a value in the column `name`: as listed, or else by the value's own type."""
    for column in (*DAILY.columns, *LOADS.columns):
        if column.name == name:
            return column.kind
    if name.endswith(("_rate", "_share")):
        return "share"
    if isinstance(value, datetime):
        return "time"
    if isinstance(value, date):
        return "date"
    if isinstance(value, int) or value is None:
        return "count"
    return "decimal" if isinstance(value, float) else "text"

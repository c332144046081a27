"""What the worksheets hold and how they look, as plain values that both writers share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from orchestration.deliver import words
from orchestration.deliver.descriptions import Descriptions
from orchestration.deliver.figures import DAILY_COLUMNS, Figures
from orchestration.deliver.notices import notices
from orchestration.summary import RunSummary

Kind = Literal["date", "time", "integer", "decimal", "percent", "text"]
Cell = date | datetime | int | float | str | None
Row = tuple[Cell, ...]

NUMBER_FORMATS: dict[Kind, str] = {
    "date": "yyyy-mm-dd",
    "time": "yyyy-mm-dd hh:mm",
    "integer": "#,##0",
    "decimal": "0.0",
    "percent": "0.0%",
    "text": "@",
}
"""Patterns that Google Sheets and Excel read alike."""

HEADER_FILL, HEADER_TEXT = "1F3A5F", "FFFFFF"
RUN_LABEL = "Run that wrote this"
NOTICE_LABEL = "Notice"
_MAX_TEXT = 30_000  # Excel takes 32,767 characters in a cell, Google Sheets 50,000


@dataclass(frozen=True)
class Column:
    """A column: its header, what its cells are, and its width in pixels."""

    name: str
    kind: Kind
    width: int

    @property
    def left(self) -> bool:
        """Whether its cells stand at the left, a little off the column before; numbers stand at the right."""
        return self.kind in {"date", "time", "text"}


@dataclass(frozen=True)
class ColourScale:
    """Cells of one column shaded from `low` (0) over `middle` (0.5) to `high` (1); colours as RRGGBB."""

    column: int
    low: str = "F4B6B0"
    middle: str = "FDF3CF"
    high: str = "A9D8B0"


@dataclass(frozen=True)
class RowMark:
    """Rows for which a formula, written for row 2, holds are filled and bold."""

    formula: str
    fill: str


@dataclass(frozen=True)
class Chart:
    """Lines over all rows: the column of the horizontal axis, and (column, RRGGBB) of each line.

    `name` is what every `title` of it begins with, by which it is found again.
    """

    name: str
    title: str
    x: int
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Table:
    """One worksheet: a header row of the columns' names, then `rows`. Times are naive, in the report zone.

    `unstable` names rows (by their first cell) that may differ without making the worksheet out of date.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    scale: ColourScale | None = None
    marks: tuple[RowMark, ...] = ()
    chart: Chart | None = None
    unstable: frozenset[str] = frozenset()

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def cells(self) -> tuple[Row, ...]:
        """The whole worksheet: header row and rows."""
        return (self.header, *self.rows)

    def same(self, wanted: Sequence[Sequence[object]], found: Sequence[Sequence[object]]) -> bool:
        """Whether a worksheet that gives back `found` holds `wanted`, which is `cells` as the worksheet would
        say it.

        Fractions may differ in the last digits that spreadsheets keep; unstable rows may differ.
        """
        return len(wanted) == len(found) and all(
            all(map(_same_cell, new, old)) or (new[0] == old[0] and new[0] in self.unstable)
            for new, old in zip(wanted, found, strict=True)
        )


@dataclass(frozen=True)
class Tables:
    """All worksheets in their order. No row of any of them is about one learner."""

    daily: Table
    quality: Table
    about: Table

    def __iter__(self) -> Iterator[Table]:
        return iter((self.daily, self.quality, self.about))


def build_tables(figures: Figures, summary: RunSummary, descriptions: Descriptions, docs: str) -> Tables:
    """The worksheets for these figures. `docs` says where the documentation is (an address or a path)."""
    daily, quality = _daily(figures, summary.demo), _quality(figures)
    return Tables(daily, quality, _about(figures, summary, descriptions, docs, (daily, quality)))


def _daily(figures: Figures, demo: bool) -> Table:
    title = "Attempts, correct submits and unique users a day"
    lines = [("attempts", "4C78A8"), ("correct_submits", "3A9D5D"), ("unique_users", "E08A2C")]
    return Table(
        title="Daily metrics",
        columns=tuple(Column(name, _daily_kind(name), 66 + 5 * len(name)) for name in DAILY_COLUMNS),
        rows=tuple((day.date, *(day.values[name] for name in DAILY_COLUMNS[1:])) for day in figures.days),
        scale=ColourScale(DAILY_COLUMNS.index("success_rate")),
        chart=Chart(
            name=title,
            title=f"{title} (made-up data)" if demo else title,
            x=0,
            lines=tuple((DAILY_COLUMNS.index(name), colour) for name, colour in lines),
        ),
    )


def _daily_kind(name: str) -> Kind:
    if name == "activity_date":
        return "date"
    if name in words.PERCENT_COLUMNS:
        return "percent"
    return "decimal" if name in words.DECIMAL_COLUMNS else "integer"


def _quality(figures: Figures) -> Table:
    return Table(
        title="Data quality",
        columns=(
            Column("loaded_at", "time", 140),
            Column("_dlt_load_id", "text", 160),
            Column("fetched", "integer", 90),
            Column("accepted", "integer", 90),
            Column("repeated", "integer", 90),
            Column("rejected", "integer", 90),
            Column("rejected_by_reason", "text", 620),
        ),
        rows=tuple(
            (
                receipt.loaded_at.replace(tzinfo=None, microsecond=0),
                _text(receipt.load_id),
                receipt.fetched,
                receipt.accepted,
                receipt.repeated,
                receipt.rejected,
                _text(
                    ", ".join(f"{reason}: {count:,}" for reason, count in receipt.rejected_by_reason.items())
                ),
            )
            for receipt in figures.receipts
        ),
    )


def _about(
    figures: Figures, summary: RunSummary, descriptions: Descriptions, docs: str, described: tuple[Table, ...]
) -> Table:
    last = figures.last_full_day
    rows: list[Row] = [(NOTICE_LABEL, _text(notice)) for notice in notices(figures, summary)]
    rows += [
        (
            "What this is",
            "Daily figures of the learners' attempts at graded tasks, written by a program after each run",
        ),
        ("Your own additions", "Columns right of the tables and other worksheets stay as you left them"),
        ("Data as of", words.moment(figures.as_of) if figures.as_of else "nothing loaded yet"),
        ("Last full day", words.day(last.date) if last else "none yet"),
        ("Time zone of all days and times", str(figures.zone)),
        (RUN_LABEL, _text(summary.run_id)),
        ("Documentation", _text(docs)),
    ]
    models = ("daily_metrics", "load_receipts")
    grains = ("one row per calendar day, oldest first", "one row per load, newest first")
    for table, model, grain in zip(described, models, grains, strict=True):
        known = descriptions.get(model, {})
        rows.append((f"{table.title}: {grain}", None))
        rows += [(name, _text(known.get(name, "")) or "(not described)") for name in table.header]
    return Table(
        title="About",
        columns=(Column("Item", "text", 280), Column("Meaning", "text", 900)),
        rows=tuple(rows),
        marks=(RowMark(f'$A2="{NOTICE_LABEL}"', "FFE3A3"), RowMark('AND($A2<>"",$B2="")', "DCE6F2")),
        unstable=frozenset({RUN_LABEL}),
    )


def _same_cell(new: object, old: object) -> bool:
    if isinstance(new, float) and isinstance(old, int | float):
        return math.isclose(new, old, rel_tol=1e-12)
    return new == old


def _text(value: str) -> str:
    return words.one_line(value, _MAX_TEXT)

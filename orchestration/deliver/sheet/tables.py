"""What the worksheets hold and how they look, as plain values that both writers share."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from orchestration.deliver.columns import ABOUT_COLUMNS, ABOUT_TITLE, DAILY, LOADS, Column, Kind
from orchestration.deliver.figures import Figures, Receipt
from orchestration.deliver.notices import notices
from orchestration.deliver.words import Words, one_line
from orchestration.summary import RunSummary

Cell = date | datetime | int | float | str | None
Row = tuple[Cell, ...]

NUMBER_FORMATS: dict[Kind, str] = {
    "date": "yyyy-mm-dd",
    "time": "yyyy-mm-dd hh:mm",
    "count": "#,##0",
    "decimal": "0.0",
    "share": "0.0%",
    "text": "@",
}
"""Patterns that Google Sheets and Excel read alike."""

HEADER_FILL, HEADER_TEXT = "1F3A5F", "FFFFFF"
SHADES = ((0, "F4B6B0"), (0.5, "FDF3CF"), (1, "A9D8B0"))
"""The colour, as RRGGBB, at each value; between them it changes gradually."""
CHART_NAME = "Attempts, correct submits and unique users a day"
CHART_LINES = {"attempts": "4C78A8", "correct_submits": "3A9D5D", "unique_users": "E08A2C"}
RUN_LABEL = "Run that wrote this"
NOTICE_LABEL = "Notice"
_MAX_TEXT = 30_000  # Excel takes 32,767 characters in a cell, Google Sheets 50,000


@dataclass(frozen=True)
class Chart:
    """Lines over all rows: (column, RRGGBB) of each. Every `title` begins with `name`, which identifies it."""

    name: str
    title: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Table:
    """One worksheet: a header row of the columns' names, then `rows`; times are the report zone's.

    The cells of the column `shaded` are coloured by SHADES. Rows for which a formula of `marks`,
    written for row 2, holds are bold and filled with its colour. `unstable` names rows (by their
    first cell) that may differ without making the worksheet out of date.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    shaded: int | None = None
    marks: tuple[tuple[str, str], ...] = ()
    chart: Chart | None = None
    unstable: frozenset[str] = frozenset()

    @property
    def header(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def cells(self) -> tuple[Row, ...]:
        return (self.header, *self.rows)

    def same(self, wanted: Sequence[Sequence[object]], found: Sequence[Sequence[object]]) -> bool:
        """Whether a worksheet that reads as `found` holds `wanted`: `cells` as it would return them.

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


def build_tables(figures: Figures, summary: RunSummary, docs: str, words: Words) -> Tables:
    """The worksheets for these figures. `docs` is the documentation's address or path."""
    quality = Table(LOADS.title, LOADS.columns, tuple(map(_load, figures.receipts)))
    return Tables(_daily(figures, summary.demo), quality, _about(figures, summary, docs, words))


def _daily(figures: Figures, demo: bool) -> Table:
    return Table(
        title=DAILY.title,
        columns=DAILY.columns,
        rows=tuple((day.date, *(day.values[name] for name in DAILY.names[1:])) for day in figures.days),
        shaded=DAILY.names.index("success_rate"),
        chart=Chart(
            name=CHART_NAME,
            title=f"{CHART_NAME} (made-up data)" if demo else CHART_NAME,
            lines=tuple((DAILY.names.index(name), colour) for name, colour in CHART_LINES.items()),
        ),
    )


def _load(receipt: Receipt) -> Row:
    counts = receipt.counts
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in counts.rejected_by_reason.items())
    return (
        receipt.loaded_at.replace(tzinfo=None, microsecond=0),
        _text(receipt.load_id),
        *(counts.fetched, counts.accepted, counts.repeated, counts.rejected),
        _text(reasons),
    )


def _about(figures: Figures, summary: RunSummary, docs: str, words: Words) -> Table:
    loaded, last = figures.loaded_at, figures.as_of_day
    rows: list[Row] = [
        *((NOTICE_LABEL, _text(notice)) for notice in notices(figures, summary, words)),
        (
            "What this is",
            "Daily figures of the learners' attempts at graded tasks, written by a program after each run",
        ),
        ("Your own additions", "Columns right of the tables and other worksheets stay as you left them"),
        ("Data as of", words.moment(loaded) if loaded else "nothing loaded yet"),
        ("Last full day", words.day(last) if last else "none yet"),
        ("Time zone of all days and times", str(figures.zone)),
        (RUN_LABEL, _text(summary.run_id)),
        ("Documentation", _text(docs)),
    ]
    for worksheet in (DAILY, LOADS):
        known = figures.descriptions.get(worksheet.mart, {})
        rows.append((f"{worksheet.title}: {worksheet.grain}", None))
        rows += [(name, _text(known.get(name, "")) or "(not described)") for name in worksheet.names]
    return Table(
        title=ABOUT_TITLE,
        columns=ABOUT_COLUMNS,
        rows=tuple(rows),
        marks=((f'$A2="{NOTICE_LABEL}"', "FFE3A3"), ('AND($A2<>"",$B2="")', "DCE6F2")),
        unstable=frozenset({RUN_LABEL}),
    )


def _same_cell(new: object, old: object) -> bool:
    if isinstance(new, float) and isinstance(old, int | float):
        return math.isclose(new, old, rel_tol=1e-12)
    return new == old


def _text(value: str) -> str:
    return one_line(value, _MAX_TEXT)

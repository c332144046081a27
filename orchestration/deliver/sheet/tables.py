"""The worksheets for some figures: which there are, in what order, and what stands in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestration.deliver.answer import MADE_UP, answer
from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import (
    ABOUT_COLUMNS,
    ABOUT_TITLE,
    CHANGES,
    COURSES,
    DAILY,
    LEARNERS,
    LOADS,
    MONTHLY,
    PERIODS,
    REPAIR,
    SUMMARY_TITLE,
    WEEKLY,
    Column,
    Worksheet,
    label_of,
)
from orchestration.deliver.columns import Row as MartRow
from orchestration.deliver.figures import Figures, Receipt
from orchestration.deliver.sheet.contents import HEADING_FILL, NOTICE_FILL, Cell, Mark, Page, Row, Table
from orchestration.deliver.sheet.summary_page import summary_page
from orchestration.deliver.words import Words, in_every_language, one_line
from orchestration.summary import RunSummary

MOST_TASKS = 200
RUN_LABEL = mark("Run that wrote this")
NOTICE_LABEL = mark("Notice")
FLAGS = {
    "stuck": mark("stuck"),
    "at_risk": mark("at risk"),
    "struggling": mark("struggling"),
    "disengaging": mark("disengaging"),
    "new": mark("new"),
    "dormant": mark("dormant"),
}
"""Why a learner needs help, as `reasons` names it."""
_MAX_TEXT = 30_000  # Excel takes 32,767 characters in a cell, Google Sheets 50,000
_DESCRIPTIONS = {
    "course_title": mark("The course, by its name and run where its key tells them."),
    "window_start": mark("First instant of the window."),
    "window_end": mark("End of the window; it does not belong to it."),
    "computed_at": mark("When the window was last asked for."),
}
"""Of columns that no mart has."""
_LATER_WORKSHEETS = (WEEKLY, MONTHLY, COURSES, REPAIR, CHANGES, PERIODS, LEARNERS)
"""Those that spreadsheets of earlier versions lack: people may have worksheets of such names."""


@dataclass(frozen=True)
class Tables:
    """All worksheets in their order. No row of any of them but those of `learners` is about one learner.

    `learners` is there when it is wanted; `withdrawn` are worksheets that must not be there (any more).
    """

    words: Words
    summary: Page
    daily: Table
    others: tuple[Table, ...]
    about: Table
    learners: Table | None = None
    withdrawn: tuple[Table, ...] = ()

    def __iter__(self) -> Iterator[Table | Page]:
        learners = () if self.learners is None else (self.learners,)
        return iter((self.summary, self.daily, *self.others, *learners, self.about))

    def without_learners(self) -> "Tables":
        """The same, with the worksheet about single learners taken back."""
        if self.learners is None:
            return self
        return replace(self, learners=None, withdrawn=(replace(self.learners, rows=()),))

    @property
    def days(self) -> str:
        """How much there is, in words."""
        return self.words.plural("{count} day", "{count} days", len(self.daily.rows))


def titles() -> frozenset[str]:
    """Of all worksheets, in every language."""
    worksheets = (DAILY, LOADS, *_LATER_WORKSHEETS)
    all_titles = (SUMMARY_TITLE, ABOUT_TITLE, *(worksheet.title for worksheet in worksheets))
    return frozenset(name for title in all_titles for name in in_every_language(title))


def build_tables(
    figures: Figures, summary: RunSummary, docs: str, words: Words, share_learners: bool = False
) -> Tables:
    """The worksheets for these figures. `docs` is the documentation's address or path.

    Single learners are in them only with `share_learners`.
    """
    shown = (DAILY, WEEKLY, MONTHLY, COURSES, REPAIR, CHANGES, PERIODS, LOADS, *([LEARNERS] if share_learners else []))
    tables = Tables(
        words=words,
        summary=summary_page(figures, summary, words),
        daily=_daily(figures, words),
        others=(
            _table(WEEKLY, words, figures.weekly),
            _table(MONTHLY, words, figures.monthly),
            _table(COURSES, words, figures.courses),
            _table(REPAIR, words, [task for task in figures.tasks if task["repair_rank"] is not None][:MOST_TASKS]),
            _table(CHANGES, words, [_revision(row, words) for row in figures.revisions]),
            _table(PERIODS, words, figures.periods),
            replace(_table(LOADS, words), rows=tuple(_load(receipt) for receipt in figures.receipts)),
        ),
        about=_about(figures, summary, docs, words, shown),
        learners=_table(LEARNERS, words, [_learner(row, words) for row in figures.learners]),
    )
    return tables if share_learners else tables.without_learners()


def _table(worksheet: Worksheet, words: Words, rows: Sequence[MartRow] = ()) -> Table:
    """A worksheet that shows rows of a mart as they are."""
    columns = worksheet.columns
    return Table(
        names=words.names(worksheet.title),
        columns=columns,
        header=tuple(map(words.heading, columns)),
        rows=tuple(tuple(_cell(column, row.get(column.name), words) for column in columns) for row in rows),
        headers=_headers(columns),
        shaded=next((at for at, column in enumerate(columns) if column.name == "success_rate"), None),
        marks=tuple(_grey(at, column) for at, column in enumerate(columns) if column.kind == "flag"),
        takes_over=worksheet not in _LATER_WORKSHEETS,
    )


def _headers(columns: Sequence[Column]) -> frozenset[str]:
    """Every text that stands over one of the columns, in any language."""
    labels = {name for column in columns for name in in_every_language(column.label)}
    return frozenset(labels | {column.name for column in columns})


def _grey(at: int, column: Column) -> Mark:
    """Rows of statistics over few learners, and those of periods that are not complete, are grey."""
    letter = chr(ord("A") + at)
    return Mark(f'AND($A2<>"",${letter}2="")' if column.name == "is_complete" else f'${letter}2<>""')


def _cell(column: Column, value: object, words: Words) -> Cell:
    if column.kind == "flag":
        return words.text("yes") if value else None
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, microsecond=0)
    if isinstance(value, str):
        return _text(words.course(value))
    return value  # type: ignore[return-value]


def _daily(figures: Figures, words: Words) -> Table:
    rows = tuple((day.date, *(day.values[name] for name in DAILY.names[1:])) for day in figures.days)
    return replace(_table(DAILY, words), rows=rows)


def _revision(row: MartRow, words: Words) -> MartRow:
    return row if words.language == "en" else {**row, "metric": words.text(label_of(row["metric"]))}


def _learner(row: MartRow, words: Words) -> MartRow:
    return {**row, "reasons": ", ".join(words.text(FLAGS.get(reason, reason)) for reason in row["reasons"])}


def _load(receipt: Receipt) -> Row:
    counts = receipt.counts
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in counts.rejected_by_reason.items())
    return (
        receipt.loaded_at.replace(tzinfo=None, microsecond=0),
        _text(receipt.load_id),
        *(counts.fetched, counts.accepted, counts.repeated, counts.rejected),
        _text(reasons),
    )


def _notices(figures: Figures, summary: RunSummary, words: Words) -> list[str]:
    """What a reader must know before believing the figures."""
    found = [words.text(MADE_UP)] if summary.demo else []
    told = answer(figures, summary, words)
    if told.tone in ("unusual", "bad"):
        found.append(f"{told.headline}. {told.why}".strip())
    return found


def _about(figures: Figures, summary: RunSummary, docs: str, words: Words, worksheets: Sequence[Worksheet]) -> Table:
    loaded, last = figures.loaded_at, figures.as_of_day
    text = words.text
    rows: list[Row] = [
        *((text(NOTICE_LABEL), _text(notice)) for notice in _notices(figures, summary, words)),
        (
            text("What this is"),
            text("Figures of the learners' attempts at graded tasks, written by a program after each run"),
        ),
        (
            text("Your own additions"),
            text("Columns right of the tables and other worksheets stay as you left them"),
        ),
        (text("Data as of"), words.moment(loaded) if loaded else text("nothing loaded yet")),
        (text("Last full day"), words.day(last) if last else text("none yet")),
        (text("Time zone of all days and times"), str(figures.zone)),
        (text(RUN_LABEL), _text(summary.run_id)),
        (text("Documentation"), _text(docs)),
    ]
    for worksheet in worksheets:
        known = figures.descriptions.get(worksheet.mart, {})
        rows.append((f"{text(worksheet.title)}: {text(worksheet.grain)}", None))
        for column in worksheet.columns:
            described = known.get(column.name) or _DESCRIPTIONS.get(column.name, "")
            rows.append((words.heading(column), _text(text(described)) or text("(not described)")))
    notice = ",".join(f'$A2="{name}"' for name in in_every_language(NOTICE_LABEL))
    return Table(
        names=words.names(ABOUT_TITLE),
        columns=ABOUT_COLUMNS,
        header=tuple(text(column.label) for column in ABOUT_COLUMNS),
        rows=tuple(rows),
        headers=_headers(ABOUT_COLUMNS),
        marks=(Mark(f"OR({notice})", NOTICE_FILL), Mark('AND($A2<>"",$B2="")', HEADING_FILL)),
        unstable=frozenset({text(RUN_LABEL)}),
        takes_over=True,
    )


def _text(value: str) -> str:
    return one_line(value, _MAX_TEXT)

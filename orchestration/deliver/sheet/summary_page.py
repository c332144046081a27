"""The worksheet `Summary`: how the last full day was, what to look into, and the newest figures."""

import textwrap
from collections.abc import Sequence
from datetime import date

from orchestration.deliver.answer import MADE_UP as MADE_UP_DATA
from orchestration.deliver.answer import Answer, Tone, answer
from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import DAILY, SUMMARY_TITLE, Kind, Number, Row, kind_of, label_of
from orchestration.deliver.figures import Day, Figures
from orchestration.deliver.incidents import KINDS, advice, evidence
from orchestration.deliver.sheet.contents import LOOKS, Chart, Page, Piece, Style
from orchestration.deliver.words import MINUS, Words, capitalised, in_every_language, one_line
from orchestration.summary import MetricVerdict, RunSummary

WIDTHS = (186, 67, 67, 67, 67, 67, 67)
CHART_HEIGHT, CHART_TOP, CHART_GAP = 200, 30, 6
"""In pixels, as the two charts stand below the title, right of the columns, one below the other."""

DAYS_IN_CHARTS = 60
_DAYS, _COURSES, _TASKS, _INCIDENTS = 30, 15, 5, 5
_LINE, _BOLD_LINE, _LARGE_LINE = 100, 86, 70  # characters that fit into all columns together
_OF_A_DAY = ("attempts", "unique_users", "success_rate", "submits", "correct_submits", "new_users")
_OF_A_COURSE = (
    "learners_active_7d",
    "learners",
    "attempts",
    "success_rate",
    "learners_stuck",
    "learners_at_risk",
)
_OF_A_TASK = (
    "learner_hours_lost_28d",
    "learners",
    "learners_stuck",
    "solve_rate",
    "first_submit_success",
    "submits_to_solve_median",
)

TITLE = mark("Learners' attempts at graded tasks")
INCIDENTS_TITLE = mark("Incidents of the last full day")
COURSES_TITLE = mark("By course, the most active first")
REJECTED = mark("Rejected records")
MADE_UP = mark("made-up data")
CHARTS = {"attempts": (mark("Attempts a day"), "2F6299"), "success_rate": (mark("Success rate by day"), "3A9D5D")}
HEADS = {
    "learners_active_7d": mark("Active, 7 d"),
    "learner_hours_lost_28d": mark("Hours lost"),
    "first_submit_success": mark("First right"),
    "submits_to_solve_median": mark("Tries"),
    "correct_submits": mark("Correct"),
    "unique_users": mark("Users"),
    "success_rate": mark("Success"),
    "new_users": mark("New"),
}
"""Labels that are short enough for the page, where the usual ones are not."""
STYLES: dict[Tone, Style] = {"good": "normal", "neutral": "no_history", "unusual": "unusual", "bad": "suspect"}
"""The look of the answer by its tone."""


def summary_page(figures: Figures, summary: RunSummary, words: Words) -> Page:
    """The page for these figures."""
    page = _Builder(words)
    page.line(words.text(TITLE), "title")
    _answer(page, answer(figures, summary, words))
    if summary.demo:
        page.paragraph(words.text(MADE_UP_DATA), "notice")
    if figures.loaded_at is not None:
        page.paragraph(words.text("Data as of {when}", when=words.moment(figures.loaded_at)), "quiet")
    _comparison(page, figures)
    _incidents(page, figures.incidents)
    _tasks(page, figures.tasks)
    _days(page, figures)
    _courses(page, figures.courses)
    return Page(
        names=words.names(SUMMARY_TITLE),
        widths=WIDTHS,
        lines=tuple(page.lines),
        headers=frozenset(
            name for title in (TITLE, INCIDENTS_TITLE, COURSES_TITLE) for name in in_every_language(title)
        ),
        charts=_charts(len(figures.days), summary.demo, words),
    )


class _Builder:
    """The lines of the page, each as wide as it is."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.lines: list[tuple[Piece, ...]] = []

    def row(self, *pieces: Piece, rest: Style = "cell") -> None:
        """A line of these cells, filled up with empty ones."""
        self.lines.append((*pieces, *[Piece(None, rest)] * (len(WIDTHS) - len(pieces))))

    def line(self, text: str, style: Style) -> None:
        """A text that runs over all columns."""
        self.row(Piece(one_line(text), style), rest=style)

    def paragraph(self, text: str, style: Style) -> None:
        """The same, on as many lines as it needs."""
        look = LOOKS[style]
        width = _LARGE_LINE if look.size > LOOKS["cell"].size else _BOLD_LINE if look.bold else _LINE
        for part in textwrap.wrap(one_line(text), width, break_long_words=True):
            self.line(part, style)

    def block(self, title: str, *heads: str) -> None:
        """A new block: a blank line, what it is about, and the heads of its columns."""
        self.row()
        self.line(title, "heading")
        if heads:
            first, *others = heads
            self.row(Piece(first, "head"), *(Piece(head, "head", "count") for head in others), rest="head")

    def heads(self, names: Sequence[str]) -> list[str]:
        return [self.words.text(HEADS.get(name, label_of(name))) for name in names]


def _answer(page: _Builder, found: Answer) -> None:
    style = STYLES[found.tone]
    page.paragraph(found.headline, style)
    for sentence in (found.why, found.advice):
        if sentence:
            page.paragraph(sentence, "cell")


def _comparison(page: _Builder, figures: Figures) -> None:
    """The last full day beside what is usual for it, and the same weekday a week before."""
    words, last, before = page.words, figures.last_full_day, figures.week_before
    if last is None:
        return
    page.block(
        capitalised(words.text("{day}, the last full day", day=words.day(last.date))),
        words.text("Figure"),
        words.text("The day"),
        words.text("Usual from"),
        words.text("to"),
        words.text("A week ago"),
        words.text("Change"),
    )
    verdict = figures.verdict
    judged = {figure.metric: figure for figure in verdict.metrics} if verdict and verdict.day == last.date else {}
    for name in _OF_A_DAY:
        now, then = last.values[name], before.values[name] if before else None
        row = _compared(words.text(label_of(name)), name, now, judged.get(name))
        page.row(*row, Piece(then, "cell", kind_of(name, then)), _change(name, now, then, words))
    if (rejected := judged.get("rejected_share")) and rejected.value is not None:
        page.row(*_compared(words.text(REJECTED), "rejected_share", rejected.value, rejected))


def _compared(label: str, name: str, value: Number, judged: MetricVerdict | None) -> tuple[Piece, ...]:
    low, high = (judged.low, judged.high) if judged else (None, None)
    kind = kind_of(name, value)
    limits = (Piece(limit, "quiet", "share" if kind == "share" else "count") for limit in (low, high))
    return (Piece(label), Piece(value, _style_of(judged.verdict if judged else None), kind), *limits)


def _change(name: str, now: Number, before: Number, words: Words) -> Piece:
    """How far the day is from the week before, as a number: in points for a share, else as a part."""
    if now is None or before is None:
        return Piece(None)
    if kind_of(name, now) == "share":
        unit = words.text("{points} pp", points="").strip()
        return Piece(round(100 * (now - before), 1), "cell", "decimal", number_format=_signed(f'0.0" {unit}"'))
    if not before:
        return Piece(now, "cell", "count", number_format=_signed("#,##0"))
    return Piece((now - before) / before, "cell", "share", number_format=_signed("0%"))


def _signed(pattern: str) -> str:
    """A number format for changes: with their sign, but for none."""
    return f'+{pattern};"{MINUS}"{pattern};{pattern}'


def _style_of(verdict: str | None) -> Style:
    """Only what leaves its band is coloured."""
    if verdict == "suspect":
        return "bad"
    return "odd" if verdict and verdict.startswith("unusual") else "cell"


def _incidents(page: _Builder, incidents: Sequence[Row]) -> None:
    words = page.words
    page.block(words.text(INCIDENTS_TITLE))
    if not incidents:
        page.paragraph(words.text("None: no task failed otherwise than before."), "quiet")
    for incident in incidents[:_INCIDENTS]:
        kind = KINDS[incident["kind"]]
        page.paragraph(f"{words.text(kind)}: {words.task(incident)}", "bad" if incident["kind"] == "broken" else "odd")
        page.paragraph(f"{evidence(incident, words)} {advice(incident, words)}", "cell")
    if len(incidents) > _INCIDENTS:
        more = len(incidents) - _INCIDENTS
        page.paragraph(words.plural("and {count} more", "and {count} more", more), "quiet")


def _tasks(page: _Builder, tasks: Sequence[Row]) -> None:
    words = page.words
    page.block(
        words.text("Tasks to repair: where learners lost most time in 28 days"),
        words.text("Task"),
        *page.heads(_OF_A_TASK),
    )
    costly = [task for task in tasks if task["repair_rank"] is not None][:_TASKS]
    for task in costly:
        _row(page, words.task(task), task, _OF_A_TASK, link=task["lms_url"])
    if not costly:
        page.paragraph(words.text("None: no task cost anybody time."), "quiet")
    _legend(page, costly)


def _courses(page: _Builder, courses: Sequence[Row]) -> None:
    words = page.words
    page.block(words.text(COURSES_TITLE), words.text("Course"), *page.heads(_OF_A_COURSE))
    for course in courses[:_COURSES]:
        _row(page, words.course(course["title"]), course, _OF_A_COURSE)
    _legend(page, courses[:_COURSES])


def _row(page: _Builder, title: str, row: Row, names: Sequence[str], link: str | None = None) -> None:
    """A course or task with its figures; grey when they are those of few learners."""
    style: Style = "quiet" if row["is_small"] else "cell"
    figures = (Piece(row[name], style, kind_of(name, row[name])) for name in names)
    page.row(Piece(one_line(title, 32), style, link=link), *figures)


def _legend(page: _Builder, rows: Sequence[Row]) -> None:
    if any(row["is_small"] for row in rows):
        page.paragraph(page.words.text("Grey: fewer than 5 learners, so chance decides much."), "quiet")


def _days(page: _Builder, figures: Figures) -> None:
    """The days themselves, newest first; figures outside their band are coloured."""
    words = page.words
    page.block(
        words.text("The last {count} days, newest first", count=_DAYS),
        words.text("Day"),
        *page.heads(_OF_A_DAY),
    )
    verdicts = {(band["activity_date"], band["metric"]): band["verdict"] for band in figures.bands}
    for day in reversed(figures.last_days(_DAYS)):
        page.row(Piece(day.date, "cell", "date"), *(_of_a_day(day, name, verdicts) for name in _OF_A_DAY))


def _of_a_day(day: Day, name: str, verdicts: dict[tuple[date, str], str]) -> Piece:
    value = day.values[name]
    return Piece(value, _style_of(verdicts.get((day.date, name))), kind_of(name, value))


def _charts(days: int, demo: bool, words: Words) -> tuple[Chart, ...]:
    """One for each of the first figures: over the newest rows of the worksheet with all days."""
    remark = f" ({words.text(MADE_UP)})" if demo else ""
    return tuple(
        Chart(
            title=words.text(name) + remark,
            names=in_every_language(name),
            source=words.text(DAILY.title),
            column=DAILY.names.index(column),
            kind=_kind(column),
            first_row=max(2, days + 2 - DAYS_IN_CHARTS),
            last_row=max(2, days + 1),
            colour=colour,
        )
        for column, (name, colour) in CHARTS.items()
    )


def _kind(column: str) -> Kind:
    return kind_of(column, 0)

"""What a run's mail says, as plain values; `text` and `html` say it in their own ways."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from orchestration.deliver import words
from orchestration.deliver.figures import Day, Figures, as_local
from orchestration.deliver.notices import notices
from orchestration.summary import Delivery, LoadCounts, RunSummary, Stage, TestResult

Outcome = Literal["done", "failed", "delivery failed"]

LABELS = {
    "attempts": "Attempts",
    "unique_users": "Unique users",
    "success_rate": "Success rate",
    "runs": "Runs",
    "submits": "Submits",
    "correct_submits": "Correct submits",
    "attempts_per_user": "Attempts per user",
    "users_without_correct": "Users without a correct submit",
    "avg_attempts_to_first_correct": "Attempts to first correct",
    "new_users": "New users",
    "unique_users_7d": "Unique users, 7 days",
    "unique_users_30d": "Unique users, 30 days",
}
KEY_FIGURES = ("attempts", "unique_users", "success_rate")
ADVICE = {
    "ingest": (
        "See what the API answered in the last log lines; run `make check` to try address and credentials.",
        "Nothing has to be made up by hand: the next `make run` also loads the days that are missing now.",
    ),
    "build": (
        "See which test or model failed; the raw records are stored, so nothing has to be loaded again.",
        "When its cause is mended, `make build` and `make deliver` bring everything up to date.",
    ),
    "deliver": ("Mend the cause named above, then `make deliver` sends the figures again.",),
}
_OTHER_ADVICE = (
    "Read the last log lines, run `make check`, mend the cause, then `make run` goes on from there.",
)


@dataclass(frozen=True)
class Links:
    """Where a reader finds more: addresses (http…) or paths of files; None where there is nothing."""

    sheet: str | None = None
    docs: str | None = None


@dataclass(frozen=True)
class Line:
    """One figure of the last full day beside the day before and the same weekday a week before, in words."""

    label: str
    value: str
    day_before: str
    day_change: str
    week_before: str
    week_change: str


@dataclass(frozen=True)
class Failure:
    """What stopped the run, and what to do about it."""

    stage: str
    text: str
    advice: tuple[str, ...]
    log_tail: tuple[str, ...]
    log_file: str


@dataclass(frozen=True)
class Body:
    """The whole mail. `day` is None when there is no full day to show."""

    outcome: Outcome
    headline: str
    notices: tuple[str, ...]
    failure: Failure | None
    undelivered: tuple[Delivery, ...]
    delivered: tuple[Delivery, ...]
    day: str | None
    day_before: str
    week_before: str
    tiles_note: str
    key_lines: tuple[Line, ...]
    lines: tuple[Line, ...]
    picture_alt: str | None
    load_title: str
    load: LoadCounts | None
    tests: str | None
    test_results: tuple[TestResult, ...]
    links: Links
    stages: tuple[Stage, ...]
    as_of: str
    run: str


def build_body(figures: Figures, summary: RunSummary, links: Links) -> Body:
    """Put the mail together from the figures and what happened in the run."""
    last, before, week = figures.last_full_day, figures.day_before, figures.week_before
    lines = tuple(_line(column, last, before, week) for column in LABELS) if last else ()
    undelivered = tuple(delivery for delivery in summary.deliveries if not delivery.ok)
    outcome: Outcome = "delivery failed" if summary.outcome == "done" and undelivered else summary.outcome
    load_title, load = _load(figures, summary)
    return Body(
        outcome=outcome,
        headline=_headline(outcome, summary, undelivered),
        notices=notices(figures, summary),
        failure=_failure(summary) if outcome == "failed" else None,
        undelivered=undelivered,
        delivered=tuple(delivery for delivery in summary.deliveries if delivery.ok),
        day=_day_title(outcome, last),
        day_before=words.short_day(before.date) if before else "the day before",
        week_before=words.short_day(week.date) if week else "a week before",
        tiles_note=f"Change against {words.short_day(week.date)}, a week before"
        if week
        else "No figures of a week before",
        key_lines=lines[: len(KEY_FIGURES)],
        lines=lines,
        picture_alt=_picture_alt(figures),
        load_title=load_title,
        load=load,
        tests=_tests(summary),
        test_results=summary.tests.results if summary.tests else (),
        links=links,
        stages=tuple(summary.stages),
        as_of=words.moment(figures.as_of) if figures.as_of else "nothing loaded yet",
        run=f"{summary.run_id}, started {words.moment(as_local(summary.started_at, figures.zone))}",
    )


def subject(figures: Figures, summary: RunSummary) -> str:
    """The answer in one line of ASCII: outcome, day, key figures and how they changed in a week."""
    undelivered = [delivery.name for delivery in summary.deliveries if not delivery.ok]
    last, week = figures.last_full_day, figures.week_before
    outcome = "Done"
    if summary.outcome == "failed":
        outcome = f"FAILED at {summary.failed_stage}" if summary.failed_stage else "FAILED"
        outcome += ", old figures" if last else ""
    elif undelivered or summary.outcome == "delivery failed":
        outcome = f"NOT DELIVERED: {', '.join(undelivered) or 'see below'}"
    figures_text = "no figures yet"
    if last:
        key = [_line(column, last, None, week) for column in KEY_FIGURES]
        told = [
            f"{line.value} {word}{_in_brackets(line)}" for line, word in zip(key, _SUBJECT_WORDS, strict=True)
        ]
        figures_text = f"{words.day(last.date)}: {', '.join(told)}"
        figures_text += " against a week before" if week else ""
    prefix = "[demo data] " if summary.demo else ""
    text = words.one_line(f"{prefix}{outcome} - {figures_text}", 250)
    return text.translate(_TO_ASCII).encode("ascii", "replace").decode("ascii")


_FILLING = re.compile(r" ?\.{4,} ?")
_LOG_LINES = 15
_SUBJECT_WORDS = ("attempts", "users", "success")
_TO_ASCII = {ord("−"): "-", ord("±"): "+-", ord("–"): "-", ord("…"): "..."}  # noqa: RUF001 - the signs of `words`


def _in_brackets(line: Line) -> str:
    return f" ({line.week_change})" if line.week_change else ""


def _line(column: str, last: Day, before: Day | None, week: Day | None) -> Line:
    now = last.values[column]
    previous, weekly = (day.values[column] if day else None for day in (before, week))
    return Line(
        LABELS[column],
        words.number(column, now),
        words.number(column, previous),
        words.change(column, now, previous),
        words.number(column, weekly),
        words.change(column, now, weekly),
    )


def _day_title(outcome: Outcome, last: Day | None) -> str | None:
    if last is None:
        return None
    return f"Last good figures: {words.day(last.date)}" if outcome == "failed" else words.day(last.date)


def _headline(outcome: Outcome, summary: RunSummary, undelivered: tuple[Delivery, ...]) -> str:
    if outcome == "failed":
        return (
            f"The run failed at the stage '{summary.failed_stage}'"
            if summary.failed_stage
            else "The run failed"
        )
    if outcome == "delivery failed":
        names = ", ".join(delivery.name for delivery in undelivered)
        return (
            f"Loaded and built, but not delivered: {names}"
            if names
            else "Loaded and built, but a delivery failed"
        )
    return "All done"


def _failure(summary: RunSummary) -> Failure:
    stage = summary.failed_stage or "unknown"
    text = summary.failure or "no reason was given; see the log"
    return Failure(stage, text, ADVICE.get(stage, _OTHER_ADVICE), _tail(summary), summary.log_file)


def _tail(summary: RunSummary) -> tuple[str, ...]:
    """The last lines of the log, without the dots by which dbt fills its lines up."""
    return tuple(words.one_line(_FILLING.sub(" … ", line), 400) for line in summary.log_tail[-_LOG_LINES:])


def _load(figures: Figures, summary: RunSummary) -> tuple[str, LoadCounts | None]:
    if summary.loads:
        return "What this run loaded", summary.loads
    if not figures.receipts:
        return "", None
    last = figures.receipts[0]
    counts = LoadCounts(
        last.fetched, last.accepted, last.repeated, last.rejected, dict(last.rejected_by_reason)
    )
    return f"The last load, {words.moment(last.loaded_at)}", counts


def _tests(summary: RunSummary) -> str | None:
    if summary.tests is None:
        return None
    counts = summary.tests
    told = [f"{counts.passed:,} passed"]
    for count, word in ((counts.warned, "warned"), (counts.failed, "failed"), (counts.skipped, "not run")):
        if count:
            told.append(f"{count:,} {word}")
    return ", ".join(told)


def _picture_alt(figures: Figures) -> str | None:
    days = figures.last_30_days
    if not days:
        return None
    attempts = words.number("attempts", max(day.values["attempts"] or 0 for day in days))
    span = f"{words.short_day(days[0].date)} to {words.day(days[-1].date)}"
    return f"Attempts, correct submits and unique users a day, {span}; at most {attempts} attempts"

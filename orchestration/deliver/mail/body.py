"""What a run's mail says, as plain values; `text` and `html` render it in their own ways."""

import re
from dataclasses import dataclass
from typing import Any

from orchestration.deliver import Links
from orchestration.deliver.columns import DAILY, KEY_FIGURES, Column
from orchestration.deliver.figures import Day, Figures
from orchestration.deliver.notices import notices
from orchestration.deliver.words import ENGLISH as words
from orchestration.deliver.words import one_line
from orchestration.summary import LoadCounts, RunSummary

ADVICE = {
    "ingest": (
        "See what the API answered in the last log lines; run `make check` to try address and credentials.",
        "Nothing has to be loaded by hand: the next `make run` also loads the days that are missing now.",
    ),
    "build": (
        "See which test or model failed; the raw records are stored, so nothing has to be loaded again.",
        "When its cause is fixed, `make build` and `make deliver` bring everything up to date.",
    ),
}
_OTHER_ADVICE = ("Read the last log lines, run `make check`, fix the cause, then `make run` goes on from there.",)
_KEY_METRICS = tuple(column for name in KEY_FIGURES for column in DAILY.columns if column.name == name)
_METRICS = (*_KEY_METRICS, *(column for column in DAILY.columns[1:] if column not in _KEY_METRICS))
_FILLING = re.compile(r" ?\.{4,} ?")
# The signs that `words` uses.
_TO_ASCII = {ord("−"): "-", ord("±"): "+-", ord("–"): "-", ord("…"): "..."}  # noqa: RUF001


@dataclass(frozen=True)
class Line:
    """One figure of the last full day beside the day before and the same weekday a week before."""

    label: str
    value: str
    day_before: str
    day_change: str
    week_before: str
    week_change: str


def build_body(figures: Figures, summary: RunSummary, links: Links) -> dict[str, Any]:
    """What both templates show, from the figures and what happened in the run.

    `day` is None without a full day to show, `failure` unless the run failed.
    """
    last, before, week = figures.last_full_day, figures.day_before, figures.week_before
    lines = [_line(column, last, before, week) for column in _METRICS] if last else []
    load_title, load = _load(figures, summary)
    day = words.day(last.date) if last else None
    tiles_note = f"Change against {words.short_day(week.date)}, a week before" if week else None
    return {
        "summary": summary,
        "links": links,
        "headline": _headline(summary),
        "tone": _tone(summary),
        "notices": notices(figures, summary, words),
        "advice": ADVICE.get(summary.failed_stage or "", _OTHER_ADVICE),
        # dbt fills its lines up with dots.
        "log_tail": [one_line(_FILLING.sub(" … ", line), 400) for line in summary.log_tail[-15:]],
        "day": f"Last good figures: {day}" if day and summary.failure else day,
        "day_before": words.short_day(before.date) if before else "the day before",
        "week_before": words.short_day(week.date) if week else "a week before",
        "tiles_note": tiles_note or "No figures of a week before",
        "key_lines": lines[: len(KEY_FIGURES)],
        "lines": lines,
        "picture_alt": _picture_alt(figures),
        "load_title": load_title,
        "load": load,
        "tests": _tests(summary),
        "as_of": words.moment(figures.loaded_at) if figures.loaded_at else "nothing loaded yet",
        "run": f"{summary.run_id}, started {words.moment(summary.started_at.astimezone(figures.zone))}",
    }


def subject(figures: Figures, summary: RunSummary) -> str:
    """The mail in one line of ASCII: outcome, day, key figures and how they changed in a week."""
    last, week = figures.last_full_day, figures.week_before
    text = "Done"
    if summary.outcome == "failed":
        text = f"FAILED at {summary.failed_stage}" if summary.failed_stage else "FAILED"
        text += ", old figures" if last else ""
    elif summary.outcome == "delivery failed":
        text = f"NOT DELIVERED: {_undelivered(summary)}"
    elif summary.unusual:
        text = "CHECK THE DAY" if summary.unusual.is_suspect else "Done, an unusual day"
    text = f"[demo data] {text}" if summary.demo else text
    if last is None:
        text += " - no figures yet"
    else:
        lines = [_line(column, last, None, week) for column in _KEY_METRICS]
        figures_text = ", ".join(
            f"{line.value} {word}" + (f" ({line.week_change})" if line.week_change else "")
            for line, word in zip(lines, KEY_FIGURES, strict=True)
        )
        text += f" - {words.day(last.date)}: {figures_text}"
        text += " against a week before" if week else ""
    return one_line(text, 250).translate(_TO_ASCII).encode("ascii", "replace").decode("ascii")


def _undelivered(summary: RunSummary) -> str:
    return ", ".join(delivery.name for delivery in summary.undelivered)


def _line(column: Column, last: Day, before: Day | None, week: Day | None) -> Line:
    name = column.name
    now = last.values[name]
    previous, weekly = (day.values[name] if day else None for day in (before, week))
    return Line(
        column.label,
        words.number(name, now),
        words.number(name, previous),
        words.change(name, now, previous),
        words.number(name, weekly),
        words.change(name, now, weekly),
    )


def _headline(summary: RunSummary) -> str:
    if summary.outcome == "failed":
        return "The run failed" + (f" at the stage '{summary.failed_stage}'" if summary.failed_stage else "")
    if summary.outcome == "delivery failed":
        return f"Loaded and built, but not delivered: {_undelivered(summary)}"
    if summary.unusual:
        return f"{words.day(summary.unusual.day)} is {words.verdict(summary.unusual)}"
    return "All done"


def _tone(summary: RunSummary) -> str:
    if summary.outcome != "done":
        return "bad"
    return "unusual" if summary.unusual else "good"


def _load(figures: Figures, summary: RunSummary) -> tuple[str, LoadCounts | None]:
    if summary.loads:
        return "What this run loaded", summary.loads
    if not figures.receipts:
        return "", None
    last = figures.receipts[0]
    return f"The last load, {words.moment(last.loaded_at)}", last.counts


def _tests(summary: RunSummary) -> str | None:
    if summary.tests is None:
        return None
    counts = summary.tests
    parts = [f"{counts.passed:,} passed"]
    for count, word in ((counts.warned, "warned"), (counts.failed, "failed"), (counts.skipped, "not run")):
        if count:
            parts.append(f"{count:,} {word}")
    return ", ".join(parts)


def _picture_alt(figures: Figures) -> str | None:
    days = figures.last_30_days
    if not days:
        return None
    attempts = words.number("attempts", max(day.values["attempts"] or 0 for day in days))
    span = f"{words.short_day(days[0].date)} to {words.day(days[-1].date)}"
    return f"Attempts, correct submits and unique users a day, {span}; at most {attempts} attempts"

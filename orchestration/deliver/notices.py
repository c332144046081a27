"""The warnings that must stand beside the figures wherever they are shown."""

from __future__ import annotations

from orchestration.deliver import words
from orchestration.deliver.figures import Figures, as_local
from orchestration.summary import RunSummary

MADE_UP = "Made-up data: these figures come from the built-in demo API, not from the grader."


def notices(figures: Figures, summary: RunSummary) -> tuple[str, ...]:
    """What a reader must know before believing the figures, most important first; empty when all is well."""
    found = []
    if summary.demo:
        found.append(MADE_UP)
    if summary.outcome == "failed":
        found.append(_not_renewed(figures, summary))
    if silence := _silence(figures):
        found.append(silence)
    return tuple(found)


def _not_renewed(figures: Figures, summary: RunSummary) -> str:
    when = words.moment(as_local(summary.started_at, figures.zone))
    cause = "its data tests failed" if summary.tests and summary.tests.failed else "it failed"
    if summary.failed_stage:
        cause += f" at the stage '{summary.failed_stage}'"
    shown = (
        f"are the last good ones, loaded {words.moment(figures.as_of)}"
        if figures.as_of
        else "are not there yet"
    )
    return words.one_line(f"Run of {when}: {cause}. The figures {shown}.")


def _silence(figures: Figures) -> str | None:
    last, as_of = figures.last_full_day, figures.as_of
    if last is None or as_of is None or (as_of.date() - last.date).days <= 1:
        return None
    loaded = words.day(as_of.date())
    return f"No attempts are known after {words.day(last.date)}, though data was loaded on {loaded}."

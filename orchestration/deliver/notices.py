"""The warnings that must stand beside the figures wherever they are shown."""

from datetime import date

from orchestration.deliver import words
from orchestration.deliver.figures import Figures
from orchestration.summary import DayVerdict, RunSummary

MADE_UP = "Made-up data: these figures come from the built-in demo API, not from the grader."


def notices(figures: Figures, summary: RunSummary) -> tuple[str, ...]:
    """What a reader must know before believing the figures, most important first."""
    found = []
    if summary.demo:
        found.append(MADE_UP)
    if summary.outcome == "failed":
        found.append(_outdated(figures, summary))
    if summary.unusual:
        found.append(_unusual(summary.unusual))
    last = figures.last_full_day
    if last is not None and not last.values["attempts"]:
        found.append(_no_attempts(figures, last.date))
    return tuple(found)


def _outdated(figures: Figures, summary: RunSummary) -> str:
    when = words.moment(summary.started_at.astimezone(figures.zone))
    cause = "its data tests failed" if summary.tests and summary.tests.failed else "it failed"
    if summary.failed_stage:
        cause += f" at the stage '{summary.failed_stage}'"
    loaded = figures.loaded_at
    shown = f"are the last good ones, loaded {words.moment(loaded)}" if loaded else "are not there yet"
    return words.one_line(f"Run of {when}: {cause}. The figures {shown}.")


def _unusual(verdict: DayVerdict) -> str:
    text = f"{words.day(verdict.day)} is {verdict.in_words}: {'; '.join(verdict.reasons)}."
    return f"{text} Look into it before relying on the day's figures." if verdict.is_suspect else text


def _no_attempts(figures: Figures, last: date) -> str:
    """About a last full day without attempts: the whole source may have fallen silent."""
    text = f"There were no attempts on {words.day(last)}, the last full day."
    active = max((day.date for day in figures.days if day.values["attempts"]), default=None)
    if active is not None and active < last and figures.loaded_at is not None:
        loaded = words.day(figures.loaded_at.date())
        text += f" No attempts are known after {words.day(active)}, though data was loaded on {loaded}."
    return text

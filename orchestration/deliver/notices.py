"""The warnings that must stand beside the figures wherever they are shown."""

from datetime import date

from orchestration.deliver.catalogue import mark
from orchestration.deliver.figures import Figures
from orchestration.deliver.words import Words, one_line
from orchestration.summary import DayVerdict, RunSummary

MADE_UP = mark("Made-up data: these figures come from the built-in demo API, not from the grader.")


def notices(figures: Figures, summary: RunSummary, words: Words) -> tuple[str, ...]:
    """What a reader must know before believing the figures, most important first."""
    found = []
    if summary.demo:
        found.append(words.text(MADE_UP))
    if summary.outcome == "failed":
        found.append(_outdated(figures, summary, words))
    if summary.unusual:
        found.append(unusual_day(summary.unusual, words))
    last = figures.last_full_day
    if last is not None and not last.values["attempts"]:
        found.append(_no_attempts(figures, last.date, words))
    return tuple(found)


def _outdated(figures: Figures, summary: RunSummary, words: Words) -> str:
    when = words.moment(summary.started_at.astimezone(figures.zone))
    stage = summary.failed_stage or ""
    if summary.tests and summary.tests.failed:
        text = words.text("Run of {when}: its data tests failed.", when=when)
    elif stage:
        text = words.text("Run of {when}: it failed at the stage '{stage}'.", when=when, stage=stage)
    else:
        text = words.text("Run of {when}: it failed.", when=when)
    if figures.loaded_at is None:
        more = words.text("There are no figures yet.")
    else:
        more = words.text("The figures are the last good ones, loaded {when}.", when=words.moment(figures.loaded_at))
    return one_line(f"{text} {more}")


def unusual_day(verdict: DayVerdict, words: Words) -> str:
    """What a day is, and why; and what to do about it when it is suspect."""
    text = words.text(
        "{day} is {verdict}: {reasons}.",
        day=words.day(verdict.day),
        verdict=words.verdict(verdict),
        reasons="; ".join(map(words.reason, verdict.out_of_band)),
    )
    if not verdict.is_suspect:
        return text
    return text + " " + words.text("Look into it before relying on the figures of the day.")


def _no_attempts(figures: Figures, last: date, words: Words) -> str:
    """About a last full day without attempts: the whole source may have fallen silent."""
    text = words.text("There were no attempts on {day}, the last full day.", day=words.day(last))
    active = max((day.date for day in figures.days if day.values["attempts"]), default=None)
    if active is not None and active < last and figures.loaded_at is not None:
        text += " " + words.text(
            "No attempts are known after {day}, though data was loaded on {loaded}.",
            day=words.day(active),
            loaded=words.day(figures.loaded_at.date()),
        )
    return text

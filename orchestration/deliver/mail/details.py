"""The engineer's part of a mail: what failed, what to do, and what the run did."""

import re
from dataclasses import dataclass

from orchestration.deliver.alerts import Told
from orchestration.deliver.catalogue import mark
from orchestration.deliver.figures import Figures
from orchestration.deliver.words import Words, one_line
from orchestration.summary import Delivery, LoadCounts, RunSummary, Stage, TestResult

ADVICE = {
    "ingest": (
        mark("See what the API answered in the last log lines; run `make check` to try address and credentials."),
        mark("Nothing has to be loaded by hand: the next `make run` also loads the days that are missing now."),
    ),
    "build": (
        mark("See which test or model failed; the raw records are stored, so nothing has to be loaded again."),
        mark("When its cause is fixed, `make build` and `make deliver` bring everything up to date."),
    ),
}
_OTHER_ADVICE = (mark("Read the last log lines, run `make check`, fix the cause, then `make run` goes on from there."),)
_LOG_LINES = 15
# dbt fills its lines up with dots.
_FILLING = re.compile(r" ?\.{4,} ?")


@dataclass(frozen=True)
class Details:
    """What an engineer needs; labels in the reader's language, errors and log lines as they are."""

    failure: str | None
    advice: tuple[str, ...]
    undelivered: tuple[Delivery, ...]
    tests: str | None
    results: tuple[TestResult, ...]
    closed_warnings: tuple[str, ...]
    load_title: str
    load: LoadCounts | None
    stages: tuple[Stage, ...]
    log_tail: tuple[str, ...]
    log_file: str
    run: str


def are_wanted(summary: RunSummary, told: Told) -> bool:
    """Whether an engineer should look: a failure, a suspect day, a warning that is news."""
    is_news = any(alert.kind == "warning" for alert in told.to_keep)
    return summary.outcome != "done" or is_news


def build_details(figures: Figures, summary: RunSummary, told: Told, words: Words) -> Details:
    """The engineer's part. Of the warnings it has those that are news."""
    quiet = {alert.key for alert in told.left_out if alert.kind == "warning"}
    results = tuple(summary.tests.results) if summary.tests else ()
    load_title, load = _load(figures, summary, words)
    started = words.moment(summary.started_at.astimezone(figures.zone))
    return Details(
        failure=summary.failure,
        advice=tuple(map(words.text, ADVICE.get(summary.failed_stage or "", _OTHER_ADVICE))),
        undelivered=tuple(summary.undelivered),
        tests=_tests(summary, words),
        results=tuple(result for result in results if result.status != "warn" or result.name not in quiet),
        closed_warnings=tuple(alert.key for alert in told.closed if alert.kind == "warning"),
        load_title=load_title,
        load=load,
        stages=tuple(summary.stages),
        log_tail=tuple(one_line(_FILLING.sub(" … ", line), 400) for line in summary.log_tail[-_LOG_LINES:]),
        log_file=summary.log_file,
        run=words.text("Run {run}, started {when}.", run=summary.run_id, when=started),
    )


def _load(figures: Figures, summary: RunSummary, words: Words) -> tuple[str, LoadCounts | None]:
    if summary.loads:
        return words.text("What this run loaded"), summary.loads
    if not figures.receipts:
        return "", None
    last = figures.receipts[0]
    return words.text("The last load, {when}", when=words.moment(last.loaded_at)), last.counts


def _tests(summary: RunSummary, words: Words) -> str | None:
    if summary.tests is None:
        return None
    counts = summary.tests
    parts = [words.text("{count} passed", count=words.count(counts.passed))]
    if counts.warned:
        parts.append(words.text("{count} warned", count=words.count(counts.warned)))
    if counts.failed:
        parts.append(words.text("{count} failed", count=words.count(counts.failed)))
    if counts.skipped:
        parts.append(words.text("{count} not run", count=words.count(counts.skipped)))
    return ", ".join(parts)

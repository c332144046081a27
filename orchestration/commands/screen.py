"""What people see on the terminal at the end: a run's last screen, tables."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import label_of
from orchestration.deliver.words import ENGLISH, Words
from orchestration.logs import FILE_ONLY
from orchestration.settings import shown_path
from orchestration.summary import RunSummary, Stage

logger = logging.getLogger(__name__)

OUTCOMES = {
    "done": (mark("All done"), "bold green"),
    "failed": (mark("FAILED"), "bold red"),
    "delivery failed": (mark("DELIVERY FAILED"), "bold red"),
    "suspect day": (mark("All done, but the last full day is SUSPECT"), "bold red"),
}
MADE_UP = mark(
    "MADE-UP DATA: the built-in demo API fed this run. Set API_URL, API_CLIENT and API_CLIENT_KEY for the real one."
)


def show_summary(summary: RunSummary, words: Words, verbose: bool = False) -> None:
    """Print the last screen of a run to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    for text, style in last_screen(summary, words, verbose):
        # Text, so that nothing in it is taken for rich's markup.
        console.print(Text(text, style=style))


def log_summary(summary: RunSummary) -> None:
    """End the log with the last screen, in English as the rest of it."""
    for text, _ in last_screen(summary, ENGLISH):
        logger.info("%s", text, extra=FILE_ONLY)


def last_screen(summary: RunSummary, words: Words, verbose: bool = False) -> list[tuple[str, str]]:
    """The last screen's lines, each with its style; details and errors are English as in the log.

    The reasons for rejections are on it when there are unusually many, or when asked for (`verbose`).
    """
    outcome, style = OUTCOMES[summary.outcome]
    head = words.text(
        "{outcome}: {command} {run}", outcome=words.text(outcome), command=summary.command, run=summary.run_id
    )
    lines = [(words.text(MADE_UP), "bold yellow")] if summary.demo else []
    lines.append((head, style))
    parts = list(_parts(summary, words, verbose))
    width = max(len(label) for label, _, _ in parts)
    return lines + [(f"  {label:<{width}}  {text}", style) for label, text, style in parts]


def _parts(summary: RunSummary, words: Words, verbose: bool) -> Iterator[tuple[str, str, str]]:
    """Label ('' below the line it belongs to), text and style of each line below the first."""
    if summary.failure:
        yield words.text("failed"), summary.failure, "red"
    if verdict := summary.verdict:
        colour = "red" if verdict.is_suspect else "yellow" if verdict.verdict == "unusual" else ""
        yield words.text("day"), f"{words.day(verdict.day)}: {words.verdict(verdict)}", colour
        for figure in verdict.out_of_band:
            yield "", words.reason(figure), colour
    if loads := summary.loads:
        counts = {name: words.count(getattr(loads, name)) for name in ("fetched", "accepted", "repeated", "rejected")}
        text = words.text(
            "{fetched} loaded = {accepted} accepted + {repeated} repeated + {rejected} rejected", **counts
        )
        yield words.text("records"), text, ""
        if verbose or summary.unusual_rejections:
            for reason, number in loads.rejected_by_reason.items():
                yield "", f"{words.count(number):>7} {reason}", ""
    if (tests := summary.tests) and (verbose or tests.warned or tests.failed or tests.skipped):
        results = {name: getattr(tests, name) for name in ("passed", "warned", "failed", "skipped")}
        text = "{passed} passed, {warned} warned, {failed} failed, {skipped} skipped"
        yield words.text("tests"), words.text(text, **results), ""
        for result in tests.results:
            yield (
                "",
                f"{result.status}: {result.name}: {result.message}",
                "yellow" if result.status == "warn" else "red",
            )
    for number, delivery in enumerate(summary.deliveries):
        label = "" if number else words.text("delivered")
        to = f"{words.text(delivery.name)}: {shown_path(delivery.target)}"
        if not delivery.ok:
            yield label, f"{to}: {words.text('FAILED')}: {delivery.detail}", "red"
        else:
            yield label, f"{to}: {delivery.detail}" if verbose else to, ""
    # A stage typed by itself is all there is to tell.
    if verbose or len(summary.stages) == 1:
        for number, stage in enumerate(summary.stages):
            detail = "" if stage.outcome == "failed" else f": {stage.detail}"
            yield "" if number else words.text("stages"), _stage(stage, words) + detail, ""
    elif summary.stages:
        yield words.text("stages"), ", ".join(_stage(stage, words) for stage in summary.stages), ""
    yield words.text("log"), shown_path(summary.log_file), ""


def _stage(stage: Stage, words: Words) -> str:
    """`ingest 4.3 s`, `build FAILED after 3 s`."""
    seconds = words.seconds(stage.seconds)
    if stage.outcome == "failed":
        return words.text("{stage} FAILED after {seconds}", stage=stage.name, seconds=seconds)
    return f"{stage.name} {seconds}"


def show_metrics(window: str, metrics: Mapping[str, Any], words: Words) -> None:
    """Print a period's metrics as a table to standard output."""
    table = Table(title=window, show_header=False)
    for name, value in metrics.items():
        table.add_row(words.text(label_of(name)) if words.language != "en" else name, words.number(name, value))
    Console(highlight=False).print(table)

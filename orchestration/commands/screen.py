"""What people see on the terminal at the end: a run's last screen, tables."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import label_of
from orchestration.deliver.sheet.contents import Change
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
WIDE = 300
"""Characters of a line where no terminal cuts it."""
WORKSHEETS = {
    "kept": "",
    "new": mark("new worksheet"),
    "renamed": mark("renamed"),
    "removed": mark("worksheet removed"),
}
MADE_UP = mark(
    "MADE-UP DATA: the built-in demo API fed this run. Set API_URL, API_CLIENT and API_CLIENT_KEY for the real one."
)


def show_summary(summary: RunSummary, words: Words, verbose: bool = False) -> None:
    """Print the last screen of a run to standard output."""
    show = _printer()
    show("")
    for text, style in last_screen(summary, words, verbose):
        show(text, style)


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
    elif summary.loads and not summary.loads.accepted and not summary.failure:
        # Without an attempt there is no day to judge; a newly connected API that answers `[]` is no good news.
        yield words.text("day"), words.text("No attempts were received yet"), "yellow"
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
            yield label, ": ".join((to, words.text("FAILED"), delivery.detail)), "red"
        else:
            yield label, f"{to}: {words.text(delivery.detail)}" if verbose else to, ""
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


def show_deliveries(summary: RunSummary, words: Words) -> None:
    """Print to standard error what became of the deliveries: the output itself is another's."""
    show = _printer(stderr=True)
    label, failed = words.text("sent"), words.text("FAILED")
    for delivery in summary.deliveries:
        state = "" if delivery.ok else f"{failed}: "
        show(f"  {label:<8} {words.text(delivery.name)}: {state}{delivery.target}: {words.text(delivery.detail)}")


def _printer(stderr: bool = False) -> Callable[..., None]:
    """What prints a line in a style, without taking anything in it for rich's markup."""
    console = Console(highlight=False, soft_wrap=True, stderr=stderr)
    return lambda text, style="": console.print(Text(text, style=style))


def show_metrics(window: str, metrics: Mapping[str, Any], words: Words) -> None:
    """Print a period's metrics as a table to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(window)
    table = Table(show_header=False)
    for name, value in metrics.items():
        heading = name if words.language == "en" else words.text(label_of(name))
        table.add_row(heading, words.number(name, value))
    console.print(table)


def show_metrics_by(title: str, rows: Sequence[Mapping[str, Any]], words: Words) -> None:
    """Print the metrics of each course or task as a table to standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    if not rows:
        console.print(title + "\n" + words.text("No attempts."))
        return
    console.print(title)
    table = Table()
    for number, name in enumerate(rows[0]):
        heading = name if words.language == "en" else words.text(label_of(name))
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        key, *values = row.items()
        table.add_row(Text(str(key[1])), *(words.number(name, value) for name, value in values))
    console.print(table)


def show_changes(target: str, changes: Sequence[Change], words: Words) -> None:
    """Print what a delivery would change in the spreadsheet as a table to standard output."""
    text = words.text
    table = Table(title=Text(target), title_justify="left")
    table.add_column(text("Worksheet"))
    for head in (text("cells added"), text("changed"), text("removed")):
        table.add_column(head, justify="right")
    table.add_column("")
    for change in changes:
        counts = (change.added, change.changed, change.removed)
        state = WORKSHEETS[change.worksheet] or ("=" if change.is_none else "")
        shown = [words.count(number) if number else "" for number in counts]
        table.add_row(
            Text(change.title), *shown, text(state) if len(state) > 1 else state, style="dim" if state == "=" else ""
        )
    console = Console(highlight=False)
    console.print(table)
    if all(change.is_none for change in changes):
        console.print(text("Everything is up to date. Nothing was sent or written."))
    else:
        console.print(text("This is what `make deliver` would change. Nothing was sent or written."))

"""What people see on the terminal: the progress of an ingest, the summary at the end, tables."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from ingestion.pipeline import Progress
from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import label_of
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.words import Words
from orchestration.summary import RunSummary

OUTCOMES = {
    "done": (mark("All done"), "bold green"),
    "failed": (mark("FAILED"), "bold red"),
    "delivery failed": (mark("DELIVERY FAILED"), "bold red"),
    "suspect day": (mark("All done, but the last full day is SUSPECT"), "bold red"),
}
STAGES = {"done": mark("done"), "failed": mark("failed")}
WIDE = 300
"""Characters of a line where no terminal cuts it."""
MADE_UP = mark(
    "MADE-UP DATA: the built-in demo API fed this run. Set API_URL, API_CLIENT and API_CLIENT_KEY for the real one."
)
WORKSHEETS = {
    "kept": "",
    "new": mark("new worksheet"),
    "renamed": mark("renamed"),
    "removed": mark("worksheet removed"),
}


@contextmanager
def ingest_progress() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal; elsewhere nothing, the log's lines serve there."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("slices", total=None)

        def show(progress: Progress) -> None:
            text = f"{progress.records_fetched:,} records fetched, {progress.records_loaded:,} loaded"
            bar.update(task, total=progress.slices, completed=progress.slices_fetched, description=text)

        yield show


def show_summary(summary: RunSummary, words: Words) -> None:
    """Print the last screen of a run to standard output."""
    show = _printer()
    text = words.text

    def tell(label: str, told: str, style: str = "") -> None:
        show(f"  {label:<8} {told}", style)

    outcome, style = OUTCOMES[summary.outcome]
    show("")
    if summary.demo:
        show(text(MADE_UP), "bold yellow")
    show(
        text("{outcome}: {command}, run {run}", outcome=text(outcome), command=summary.command, run=summary.run_id),
        style,
    )
    for stage in summary.stages:
        done = text(STAGES[stage.outcome])
        show(f"  {stage.name:<8} {done:<7} {stage.seconds:7.2f} s  {stage.detail}")
    if loads := summary.loads:
        counts = {name: words.count(getattr(loads, name)) for name in ("fetched", "accepted", "repeated", "rejected")}
        told = text("{fetched} loaded = {accepted} accepted + {repeated} repeated + {rejected} rejected", **counts)
        tell(text("records"), told)
        for reason, number in loads.rejected_by_reason.items():
            show(f"           {words.count(number):>7} {reason}")
    if tests := summary.tests:
        told = text(
            "{passed} passed, {warned} warned, {failed} failed, {skipped} skipped",
            passed=tests.passed,
            warned=tests.warned,
            failed=tests.failed,
            skipped=tests.skipped,
        )
        tell(text("tests"), told)
        for result in tests.results:
            tell("", f"{result.status}: {result.name}: {result.message}")
    if verdict := summary.verdict:
        colour = "red" if verdict.is_suspect else "yellow" if verdict.verdict == "unusual" else ""
        tell(text("day"), f"{words.day(verdict.day)}: {words.verdict(verdict)}", colour)
        for figure in verdict.out_of_band:
            show(f"           {words.reason(figure)}")
    _show_deliveries(summary, words, show)
    if summary.failure:
        tell(text("failed"), summary.failure, "red")
    tell(text("log"), summary.log_file)


def show_deliveries(summary: RunSummary, words: Words) -> None:
    """Print to standard error what became of the deliveries: the output itself is another's."""
    _show_deliveries(summary, words, _printer(stderr=True))


def _show_deliveries(summary: RunSummary, words: Words, show: Callable[[str], None]) -> None:
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

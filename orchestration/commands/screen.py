"""What people see on the terminal: the progress of an ingest, the summary at the end, tables."""

import sys
from collections.abc import Callable, Iterator, Mapping
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
from orchestration.deliver.words import Words
from orchestration.summary import RunSummary

OUTCOMES = {
    "done": (mark("All done"), "bold green"),
    "failed": (mark("FAILED"), "bold red"),
    "delivery failed": (mark("DELIVERY FAILED"), "bold red"),
    "suspect day": (mark("All done, but the last full day is SUSPECT"), "bold red"),
}
STAGES = {"done": mark("done"), "failed": mark("failed")}
MADE_UP = mark(
    "MADE-UP DATA: the built-in demo API fed this run. Set API_URL, API_CLIENT and API_CLIENT_KEY for the real one."
)


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
    """Print the last screen of a run to standard output; details and errors are English as in the log."""
    console = Console(highlight=False, soft_wrap=True)
    named = {"command": summary.command, "run": summary.run_id}
    outcome, style = OUTCOMES[summary.outcome]

    def show(text: str, style: str = "") -> None:
        # Text, so that nothing in it is taken for rich's markup.
        console.print(Text(text, style=style))

    def line(label: str, text: str, style: str = "") -> None:
        show(f"  {label:<8} {text}", style)

    show("")
    if summary.demo:
        show(words.text(MADE_UP), "bold yellow")
    show(words.text("{outcome}: {command}, run {run}", outcome=words.text(outcome), **named), style)
    for stage in summary.stages:
        line(stage.name, f"{words.text(STAGES[stage.outcome]):<7} {stage.seconds:7.2f} s  {stage.detail}")
    if loads := summary.loads:
        counts = {name: words.count(getattr(loads, name)) for name in ("fetched", "accepted", "repeated", "rejected")}
        line(
            words.text("records"),
            words.text("{fetched} loaded = {accepted} accepted + {repeated} repeated + {rejected} rejected", **counts),
        )
        for reason, number in loads.rejected_by_reason.items():
            line("", f"{words.count(number):>7} {reason}")
    if tests := summary.tests:
        counted = {name: getattr(tests, name) for name in ("passed", "warned", "failed", "skipped")}
        line(
            words.text("tests"),
            words.text("{passed} passed, {warned} warned, {failed} failed, {skipped} skipped", **counted),
        )
        for result in tests.results:
            line("", f"{result.status}: {result.name}: {result.message}")
    if verdict := summary.verdict:
        colour = "red" if verdict.is_suspect else "yellow" if verdict.verdict == "unusual" else ""
        line(words.text("day"), f"{words.day(verdict.day)}: {words.verdict(verdict)}", colour)
        for figure in verdict.out_of_band:
            line("", words.reason(figure))
    for delivery in summary.deliveries:
        state = "" if delivery.ok else words.text("FAILED") + ": "
        line(words.text("sent"), f"{words.text(delivery.name)}: {state}{delivery.target}: {delivery.detail}")
    if summary.failure:
        line(words.text("failed"), summary.failure, "red")
    line(words.text("log"), summary.log_file)


def show_metrics(window: str, metrics: Mapping[str, Any], words: Words) -> None:
    """Print a period's metrics as a table to standard output."""
    table = Table(title=window, show_header=False)
    for name, value in metrics.items():
        table.add_row(words.text(label_of(name)) if words.language != "en" else name, words.number(name, value))
    Console(highlight=False).print(table)

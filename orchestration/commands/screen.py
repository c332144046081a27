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
from orchestration.deliver.words import Words
from orchestration.summary import RunSummary

OUTCOMES = {
    "done": ("All done", "bold green"),
    "failed": ("FAILED", "bold red"),
    "delivery failed": ("DELIVERY FAILED", "bold red"),
    "suspect day": ("All done, but the last full day is SUSPECT", "bold red"),
}
MADE_UP = (
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
            words = f"{progress.records_fetched:,} records fetched, {progress.records_loaded:,} loaded"
            bar.update(task, total=progress.slices, completed=progress.slices_fetched, description=words)

        yield show


def show_summary(summary: RunSummary, words: Words) -> None:
    """Print the last screen of a run to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    outcome, style = OUTCOMES[summary.outcome]

    def show(text: str, style: str = "") -> None:
        # Text, so that nothing in it is taken for rich's markup.
        console.print(Text(text, style=style))

    show("")
    if summary.demo:
        show(MADE_UP, "bold yellow")
    show(f"{outcome}: {summary.command}, run {summary.run_id}", style)
    for stage in summary.stages:
        show(f"  {stage.name:<8} {stage.outcome:<7} {stage.seconds:7.2f} s  {stage.detail}")
    if loads := summary.loads:
        show(
            f"  records  {loads.fetched:,} loaded = {loads.accepted:,} accepted + {loads.repeated:,} repeated"
            f" + {loads.rejected:,} rejected"
        )
        for reason, number in loads.rejected_by_reason.items():
            show(f"           {number:7,} {reason}")
    if tests := summary.tests:
        show(f"  tests    {tests.passed} passed, {tests.warned} warned, {tests.failed} failed, {tests.skipped} skipped")
        for result in tests.results:
            show(f"           {result.status}: {result.name}: {result.message}")
    if verdict := summary.verdict:
        colour = "red" if verdict.is_suspect else "yellow" if verdict.verdict == "unusual" else ""
        show(f"  day      {words.day(verdict.day)} is {words.verdict(verdict)}", colour)
        for figure in verdict.out_of_band:
            show(f"           {words.reason(figure)}")
    for delivery in summary.deliveries:
        state = "" if delivery.ok else "FAILED: "
        show(f"  sent     {delivery.name}: {state}{delivery.target}: {delivery.detail}")
    if summary.failure:
        show(f"  failed   {summary.failure}", "red")
    show(f"  log      {summary.log_file}")


def show_metrics(window: str, metrics: Mapping[str, Any], words: Words) -> None:
    """Print a period's metrics as a table to standard output."""
    table = Table(title=window, show_header=False)
    for name, value in metrics.items():
        table.add_row(name, words.number(name, value))
    Console(highlight=False).print(table)

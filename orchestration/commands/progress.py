"""One line on the terminal about the stage at work; it is gone when the stage ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestration.interrupt import held_back
from orchestration.logs import terminal
from orchestration.summary import Step

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def live_line() -> Iterator[Callable[[Step | None], None]]:
    """What shows a step on a terminal, and takes the line away for None; elsewhere it does nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    line = _Line()
    try:
        yield line.show
    finally:
        line.show(None)


class _Line:
    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._stage = ""

    def show(self, step: Step | None) -> None:
        with held_back():
            self._show(step)

    def _show(self, step: Step | None) -> None:
        if self._shown is not None and (step is None or step.stage != self._stage):
            self._shown.stop()
            self._shown = None
        if step is None:
            return
        if self._shown is None:
            self._shown, self._stage = _bar(), step.stage
            self._shown.add_task(step.stage, total=step.total, text=step.text, count="")
            self._shown.start()
        count = "" if step.total is None else f"{step.done:,}/{step.total:,}"
        self._shown.update(self._shown.task_ids[0], total=step.total, completed=step.done, text=step.text, count=count)


def _bar() -> Progress:
    from rich import progress
    from rich.table import Column

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description:<8}", markup=False, table_column=Column(no_wrap=True)),
        # Rich's own red would look like trouble.
        progress.BarColumn(bar_width=20, complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        progress.TextColumn("{task.fields[count]}", markup=False),
        progress.TimeElapsedColumn(),
        progress.TextColumn(
            "{task.fields[text]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=terminal(),
        transient=True,
        expand=True,
        # What goes to another place than the terminal has to get there.
        redirect_stdout=sys.stdout.isatty(),
    )

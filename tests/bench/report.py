"""What the report is made of: tables, goals, sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.processes import Cost

COST_HEAD = ("seconds", "processor: Python", "processor: PostgreSQL", "peak MB")


@dataclass(frozen=True)
class Goal:
    """What should be reached, what was measured, and whether that is enough.

    `large`: the sizes are those the goal is meant for; at smaller ones start-up weighs more, and history less.
    """

    what: str
    goal: str
    measured: str
    met: bool
    large: bool = True

    def row(self) -> list[str]:
        """Its line of the table of goals."""
        verdict = "met" if self.met else "**not met**"
        return [self.what, self.goal, self.measured, verdict if self.large else f"{verdict} at this size"]


@dataclass
class Section:
    """A part of the report: its title, paragraphs in Markdown, and the goals it judges."""

    title: str
    parts: list[str] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def markdown(self) -> str:
        """The part as Markdown."""
        return "\n\n".join([f"## {self.title}", *self.parts])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right if they hold figures."""
    figures = [all(row[at][:1].isdigit() or row[at] in ("–", "") for row in rows) for at in range(len(head))]
    line = ["---:" if right and at else "---" for at, right in enumerate(figures)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, line, *rows])


def cells(cost: Cost) -> list[str]:
    """A cost under COST_HEAD."""
    server = "–" if cost.server is None else f"{cost.server:.2f}"
    return [f"{cost.seconds:.2f}", f"{cost.processor:.2f}", server, f"{cost.peak_mb:.0f}"]

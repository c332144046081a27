"""What the report is made of: tables, goals, and pictures in text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.processes import Cost

_BAR = 40
_WIDTH, _HEIGHT = 64, 16


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


COST_HEAD = ("seconds", "processor: Python", "processor: PostgreSQL", "peak MB")


def cells(cost: Cost) -> list[str]:
    """A cost under COST_HEAD."""
    server = "–" if cost.server is None else f"{cost.server:.2f}"
    return [f"{cost.seconds:.2f}", f"{cost.processor:.2f}", server, f"{cost.peak_mb:.0f}"]


def bars(values: Mapping[str, float], unit: str) -> str:
    """Bars on a logarithmic scale that begins at a third of the smallest value."""
    low = min(values.values()) / 3
    scale = _BAR / math.log(max(values.values()) / low)
    width = max(map(len, values))
    lines = [
        f"{name:{width}} {'█' * max(1, round(math.log(value / low) * scale))} {value:.3g}"
        for name, value in values.items()
    ]
    return "\n".join(["```text", f"{unit}, logarithmic scale", *lines, "```"])


def plot(series: Mapping[str, Mapping[int, float]], across: str, upwards: str) -> str:
    """Points of several series, both scales logarithmic; a series is drawn with the first letter of its name."""
    xs = [x for points in series.values() for x in points]
    ys = [y for points in series.values() for y in points.values()]
    left, right, low, high = min(xs), max(xs), min(ys) / 1.3, max(ys) * 1.3
    grid = [[" "] * (_WIDTH + 1) for _ in range(_HEIGHT)]
    for name, points in series.items():
        places = [
            (
                _place(x, left, right, _WIDTH),
                _HEIGHT - 1 - _place(y, low, high, _HEIGHT - 1),
            )
            for x, y in sorted(points.items())
        ]
        for (x1, y1), (x2, y2) in zip(places, places[1:], strict=False):
            for x in range(x1, x2):
                y = round(y1 + (y2 - y1) * (x - x1) / (x2 - x1))
                grid[y][x] = "·" if grid[y][x] == " " else grid[y][x]
        for x, y in places:
            grid[y][x] = name[0] if grid[y][x] in " ·" else "*"
    lines = []
    for number, row in enumerate(grid):
        value = low * (high / low) ** ((_HEIGHT - 1 - number) / (_HEIGHT - 1))
        label = f"{value:8.3g}" if number % 3 == 0 or number == _HEIGHT - 1 else " " * 8
        lines.append(f"{label} |{''.join(row).rstrip()}")
    axis = [" "] * (_WIDTH + 12)
    for x in sorted(set(xs)):
        text = f"{x:,}"
        at = min(_place(x, left, right, _WIDTH), _WIDTH + 10 - len(text))
        if all(cell == " " for cell in axis[max(0, at - 1) : at + len(text) + 1]):
            axis[at : at + len(text)] = text
    letters = ", ".join(f"{name[0]} {name}" for name in series)
    return "\n".join(
        [
            "```text",
            f"{upwards} (up) by {across} (to the right), both scales logarithmic; * where points meet",
            letters,
            "",
            *lines,
            f"{' ' * 8} +{'-' * (_WIDTH + 1)}",
            f"{' ' * 10}{''.join(axis).rstrip()}",
            "```",
        ]
    )


def _place(value: float, low: float, high: float, steps: int) -> int:
    return round(math.log(value / low) / math.log(high / low) * steps) if high > low else 0

"""`python -m bench [--full]`: runs every measure and writes out/bench.md."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import measures
from bench.measures import FULL, SMALL, Row
from bench.place import ROOT, opened

_WIDTH = 40


def main() -> None:
    """Parse the command line, measure, write the report."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the product beside its peers.")
    parser.add_argument("--full", action="store_true", help="the large sizes: hours, and tens of gigabytes")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "bench.md")
    arguments = parser.parse_args()
    sizes = FULL if arguments.full else SMALL
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        opened(Path(folder) / "place", sizes.per_day) as place,
    ):
        parts = [
            f"# Benchmarks\n\n{_machine()}\n\nMedians of {measures.ROUNDS}, in turns; a full refresh is measured once. "
            f"{sizes.per_day:,} records a day. Processor time and memory are the Python process's.\n",
            _table(f"Bulk: {sizes.bulk_days} days, beside its peers", measures.bulk(place, sizes)),
            _table("Memory of a backfill", measures.backfills(place, sizes)),
            _table("As history grows", measures.daily(place, sizes)),
            _disk(measures.disk(place, sizes)),
        ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(parts), encoding="utf-8")
    print(f"Written to {arguments.output}.")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    busy = os.getloadavg()[0]
    return (
        f"{platform.platform()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"load {busy:.1f} before the first measure."
    )


def _table(title: str, rows: Sequence[Row]) -> str:
    """A table, and the same as bars: seconds."""
    lines = [f"## {title}\n", "| what | seconds | ratio | processor s | peak MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.what} | {row.cost.seconds:.2f} | {row.ratio:.2f} | {row.cost.processor:.2f} | {row.cost.peak_mb:.0f} |"
        for row in rows
    ]
    most = max(row.cost.seconds for row in rows)
    bars = [f"{row.what:32} {'#' * max(1, round(_WIDTH * row.cost.seconds / most))}" for row in rows]
    return "\n".join([*lines, "", "```text", *bars, "```", ""])


def _disk(rows: Sequence[tuple[str, str, float]]) -> str:
    lines = ["## Disk: bytes for each attempt\n", "| relation | what | bytes |", "|---|---|---|"]
    lines += [f"| {name} | {what} | {size:.0f} |" for name, what, size in rows]
    return "\n".join([*lines, f"| all | | {sum(size for *_, size in rows):.0f} |", ""])


if __name__ == "__main__":
    main()

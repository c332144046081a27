"""`python -m tests.bench`: runs every measure and writes the report, part by part as they are done."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from tests.bench.bulk import DifferentFiguresError, backfills, beside_peers
from tests.bench.growth import growth
from tests.bench.place import Place, opened
from tests.bench.processes import ROOT, TaskFailedError
from tests.bench.report import Section, table
from tests.bench.sizes import FULL, ROUNDS, SMALL, Sizes

_PARTS = ("bulk", "memory", "growth")
_PACKAGES = ("dlt", "dbt-core", "dbt-postgres", "psycopg2-binary", "pandas", "sqlalchemy")
_GIB = 1 << 30


def main() -> int:
    """Parse the command line, measure, write the report; returns the exit code."""
    arguments = _arguments()
    sizes = FULL if arguments.full else SMALL
    if arguments.histories:
        sizes = sizes.of_histories(arguments.histories)
    folder = Path(arguments.folder or tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    parts = arguments.only or _PARTS
    room = sizes.room("growth" in parts)
    if free < room:
        print(
            f"About {room / _GIB:.0f} GiB are needed in {folder}, {free / _GIB:.0f} are free: "
            "name another folder with --folder, or smaller --histories.",
            file=sys.stderr,
        )
        return 2
    try:
        with (
            tempfile.TemporaryDirectory(prefix="grader-bench-", dir=folder) as name,
            opened(Path(name) / "place", sizes.per_day) as place,
        ):
            _write_all(place, sizes, parts, arguments.output)
    except (DifferentFiguresError, TaskFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Written to {arguments.output}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description="Measure the product beside its peers.")
    parser.add_argument("--full", action="store_true", help="the large sizes: an hour or two, and 75 GB of disk")
    parser.add_argument(
        "--histories", type=_numbers, help="attempts in each history, with commas: 50000,500000,5000000"
    )
    parser.add_argument("--only", nargs="+", choices=_PARTS, help="these parts alone")
    parser.add_argument("--folder", type=Path, help="where to keep the data meanwhile (the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "bench.md")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _sections(place: Place, sizes: Sizes, parts: Iterable[str], say: Callable[[str], None]) -> Iterator[Section]:
    if "bulk" in parts:
        yield beside_peers(place, sizes, say)
    if "memory" in parts:
        yield backfills(place, sizes, say)
    if "growth" in parts:
        yield from growth(place, sizes, say)


def _write_all(place: Place, sizes: Sizes, parts: Iterable[str], output: Path) -> None:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    machine, load_before = _machine(place), _load()
    done: list[Section] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    for section in _sections(place, sizes, parts, say):
        done.append(section)
        lines = [
            *machine,
            ["load before, after", f"{load_before}, {_load()}"],
            ["took", f"{(time.monotonic() - began) / 60:.0f} minutes"],
        ]
        output.write_text(_report(done, lines), encoding="utf-8")


def _machine(place: Place) -> list[list[str]]:
    """Names and values for the report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    names = ("server_version", "shared_buffers", "fsync", "max_parallel_workers_per_gather")
    shown = ", ".join(f"current_setting('{name}')" for name in names)
    values = place.execute(place.database("postgres"), f"select {shown}")[0]
    server = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    return [
        ["machine", f"{platform.platform()}, {os.cpu_count()} cores, {memory:.0f} GiB"],
        ["PostgreSQL", f"embedded, {server}"],
        ["Python", platform.python_version()],
        ["packages", ", ".join(f"{name} {version(name)}" for name in _PACKAGES)],
    ]


def _load() -> str:
    """How busy the machine is: processes that wanted to run, over the last minute and the last 15."""
    last_minute, _, last_quarter = os.getloadavg()
    return f"{last_minute:.1f} (15 minutes: {last_quarter:.1f})"


def _report(sections: list[Section], machine: list[list[str]]) -> str:
    goals = [goal for section in sections for goal in section.goals]
    met = sum(goal.met for goal in goals)
    text = (
        f"Medians of {ROUNDS}, measured in turns on one machine, {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC. "
        "Ratios are what counts. Seconds are those of whole processes, from start to end; processor time is that of "
        "the Python process, and of PostgreSQL's processes with their housekeeping. Before each measure PostgreSQL "
        "writes a checkpoint. `at this size` says that the goal is meant for more than was measured."
    )
    return "\n\n".join(
        [
            "# Benchmarks",
            text,
            f"## Goals: {met} of {len(goals)} met",
            table(["what", "goal", "measured", "verdict"], [goal.row() for goal in goals]),
            *(section.markdown() for section in sections),
            "## The machine",
            table(["", ""], machine),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

"""A few words about the machine, and what runs on it."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from tests.bench.place import Place

_PACKAGES = ("dlt", "dbt-core", "dbt-postgres", "psycopg2-binary", "duckdb")


def describe(place: Place) -> list[tuple[str, str]]:
    """Names and values for the report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    server = place.execute(
        place.database("postgres"),
        "select current_setting('server_version'), current_setting('shared_buffers'), current_setting('fsync'), "
        "current_setting('max_parallel_workers_per_gather')",
    )[0]
    return [
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", f"{memory:.0f} GiB"),
        ("system", platform.platform()),
        (
            "PostgreSQL",
            f"{server[0]}, embedded, shared_buffers {server[1]}, fsync {server[2]}, "
            f"parallel workers a query: {server[3]}",
        ),
        ("Python", platform.python_version()),
        ("packages", ", ".join(f"{name} {version(name)}" for name in _PACKAGES)),
    ]


def load() -> str:
    """How busy the machine is: processes that wanted to run, over the last minute and the last 15."""
    last_minute, _, last_quarter = os.getloadavg()
    return f"{last_minute:.1f} (15 minutes: {last_quarter:.1f})"


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    match = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()

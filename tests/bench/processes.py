"""What a process costs, and what PostgreSQL's processes cost meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ingestion.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[2]
_PROC = Path("/proc")
_TAIL = 4_000


class TaskFailedError(Exception):
    """A measured process failed; the message has the end of what it wrote."""


@dataclass(frozen=True)
class Cost:
    """What a process took from its start to its end.

    `seconds` on the clock; `processor`: seconds of the process and its children; `server`: seconds of PostgreSQL's
    processes meanwhile, those of its housekeeping included (None where the system does not tell); `peak_mb`: the most
    memory the process held.
    """

    seconds: float
    processor: float
    server: float | None
    peak_mb: float

    @property
    def work(self) -> float:
        """Processor seconds in all, as far as they are known."""
        return self.processor + (self.server or 0)


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    servers = [cost.server for cost in costs if cost.server is not None]
    return Cost(
        median(cost.seconds for cost in costs),
        median(cost.processor for cost in costs),
        median(servers) if servers else None,
        median(cost.peak_mb for cost in costs),
    )


def run(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], warehouse: Warehouse, folder: Path
) -> Cost:
    """Run `python -m module arguments` in a folder and measure it. Raises TaskFailedError."""
    command = [sys.executable, "-m", module, *arguments]
    before = _server_seconds(warehouse)
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env={**environment}, stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    after = _server_seconds(warehouse)
    if process.returncode:
        raise TaskFailedError(f"{module} {' '.join(arguments)[:200]} ended with {process.returncode}:\n{text[-_TAIL:]}")
    return Cost(
        seconds,
        usage.ru_utime + usage.ru_stime,
        None if before is None or after is None else after - before,
        usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    )


def _server_seconds(warehouse: Warehouse) -> float | None:
    """Processor seconds so far of all processes of the server, which is on this machine; ended ones included."""
    with closing(warehouse.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        backend = _stat(cursor.fetchall()[0][0])
    if backend is None:
        return None
    postmaster = int(backend[1])
    ticks = 0
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        fields = _stat(int(entry.name))
        if fields is None:
            continue
        if int(entry.name) == postmaster:
            # Its own, and those of its children that have ended.
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    """The fields of proc(5)'s `stat` from the third on: state, parent, …; None where there are none."""
    try:
        return (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None

"""Runs commands as processes without paying each time for their imports and for parsing the dbt project.

Started in a clone by `PreparedProcess` (see commands.py) with the settings of a database. It does both once and
forks for each command. It reads one JSON line for each command from standard input and writes one for each start
and each end to standard output. A child is a session of its own, as under cron, and does all that
`python -m orchestration` does once it is imported.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dbt.adapters.postgres  # noqa: F401 here, once, instead of in each child
import dbt.cli.main  # noqa: F401
import dlt  # noqa: F401
import psycopg2  # noqa: F401
import tenacity
from dlt.common.storages import load_package
from dlt.destinations import postgres  # noqa: F401

import orchestration.deliver.mail.outbox
import orchestration.deliver.mail.smtp  # noqa: F401
import orchestration.deliver.sheet.google
import orchestration.deliver.sheet.workbook  # noqa: F401
from ingestion import pipeline
from ingestion.api import Api, Patience
from ingestion.warehouse import Warehouse
from orchestration import settings
from orchestration.__main__ import main
from orchestration.build.dbt import Dbt
from orchestration.commands import pipeline as commands
from orchestration.deliver import retry
from orchestration.run import Run

POLL_SECONDS = 0.005


def parse_project() -> None:
    """Parse the project and read it again, as a command does after the first; dbt compiles its own code meanwhile."""
    host, port, dbname, user, password = (
        os.environ[f"POSTGRES_{name}"] for name in ("HOST", "PORT", "DB", "USER", "PASSWORD")
    )
    warehouse = Warehouse(host, int(port), dbname, user, password)
    # As a command does, for what it writes.
    os.umask(0o077)
    for _ in range(2):
        Dbt(warehouse, ZoneInfo("Europe/Moscow"), Path(".state").resolve()).compile_inline("select 1")


def serve() -> None:
    """Start the commands that are ordered until standard input ends."""
    children: set[int] = set()
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], POLL_SECONDS)
        if ready:
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                pid = start(json.loads(line))
                children.add(pid)
                report({"started": pid})
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.discard(pid)
                report({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def report(message: dict[str, int]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def start(order: dict[str, Any]) -> int:
    """Fork; the child becomes the command and never returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        null, output = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        )
        for there, here in ((null, 0), (output, 1), (output, 2)):
            os.dup2(there, here)
        if order["new_interpreter"]:
            command = [sys.executable, "-m", "orchestration", *order["arguments"]]
            os.execve(sys.executable, command, order["environment"])
        # Handlers that an import has set up would log everything twice.
        logging.getLogger().handlers.clear()
        os.environ.clear()
        os.environ.update(order["environment"])
        # dbt's static parser computes in threads, which a fork doesn't take along.
        os.environ["DBT_STATIC_PARSER"] = "false"
        # A delivery that fails does so for good.
        vars(retry)["_BACKOFF"] = tenacity.wait_none()
        if order["small_loads"]:
            # A load for nearly every slice, so that there is much to kill in between.
            vars(pipeline)["Pace"] = partial(pipeline.Pace, batch_bytes=1, batch_seconds=0)
        if order["patience"]:
            vars(settings)["Api"] = partial(Api, patience=Patience(**order["patience"]))
        if order["clock"]:
            set_clock(order["clock"])
        code = main(order["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def set_clock(seconds: float) -> None:
    """Put the clock of the run, and that of the loads' ids, forward or back."""
    ahead = timedelta(seconds=seconds)
    vars(commands)["Run"] = partial(Run, now=lambda: datetime.now(timezone.utc) + ahead)
    for name in ("precise_time", "increasing_precise_time"):
        vars(load_package)[name] = lambda: time.time() + seconds


if __name__ == "__main__":
    parse_project()
    serve()

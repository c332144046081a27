"""Runs commands as processes without paying for their imports each time: imported once, forked for each command.

Started in a clone by `Nursery` (see machine.py). Reads one JSON line for each command from standard input,
writes one for each start and each end to standard output. A child is a session of its own, as under cron, and
does all that `python -m orchestration` does once it is imported.
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
from typing import Any

import dbt.adapters.postgres  # noqa: F401 here, once, instead of in each child
import dbt.cli.main  # noqa: F401
import dlt  # noqa: F401
import psycopg2  # noqa: F401
from dlt.common.storages import load_package
from dlt.destinations import postgres  # noqa: F401

import orchestration.__main__ as entry
import orchestration.deliver.mail.outbox
import orchestration.deliver.mail.smtp  # noqa: F401
import orchestration.deliver.sheet.google
import orchestration.deliver.sheet.workbook  # noqa: F401
from ingestion import pipeline
from ingestion.api import Api, Patience
from orchestration import wiring
from orchestration.__main__ import main
from orchestration.run import Run

GLANCE = 0.005


def serve() -> None:
    """Start what is asked for until standard input ends."""
    children: set[int] = set()
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], GLANCE)
        if ready:
            read = os.read(0, 1 << 16)
            if not read:
                return
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                pid = start(json.loads(line))
                children.add(pid)
                tell({"started": pid})
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.discard(pid)
                tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def tell(news: dict[str, int]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


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
        # What an import has set up would say everything twice.
        logging.getLogger().handlers.clear()
        os.environ.clear()
        os.environ.update(order["environment"])
        if order["small_loads"]:
            # A load for nearly every slice, so that there is much to be killed between.
            vars(pipeline)["Pace"] = partial(pipeline.Pace, batch_bytes=1, batch_seconds=0)
        if order["patience"]:
            vars(wiring)["Api"] = partial(Api, patience=Patience(**order["patience"]))
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
    vars(entry)["Run"] = partial(Run, now=lambda: datetime.now(timezone.utc) + ahead)
    for name in ("precise_time", "increasing_precise_time"):
        vars(load_package)[name] = lambda: time.time() + seconds


if __name__ == "__main__":
    serve()

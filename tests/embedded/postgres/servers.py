"""What the tests of the embedded PostgreSQL do to servers."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ingestion.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[3]
NOT_DURABLE = {"fsync": "off", "shared_buffers": "16MB"}
IS_ROOT = os.geteuid() == 0

StateDir = Callable[[str], Path]


def sql(warehouse: Warehouse, statement: str) -> Any:
    """The first value of a statement's answer, if it has one."""
    connection = warehouse.connect()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
    finally:
        connection.close()
    return row[0] if row else None


def lock_file(state_dir: Path) -> Path:
    (path,) = (state_dir / "postgres").glob("*/postmaster.pid")
    return path


def server_pid(state_dir: Path) -> int:
    return int(lock_file(state_dir).read_text().split()[0])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def python(code: str) -> list[str]:
    """A command that runs code in a process of its own, in which `postgres` and `Path` are known."""
    head = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    names = "from pathlib import Path; from embedded import postgres"
    return [sys.executable, "-c", f"{head}\n{names}\n{textwrap.dedent(code)}"]


def as_other_user(code: str) -> subprocess.CompletedProcess[str]:
    """Run code as the account `daemon`, whose `PROGRAMS` are an installation it can execute.

    Everything is imported before the account is changed: the interpreter may lie where it can't reach it.
    """
    daemon = pwd.getpwnam("daemon")
    drop = f"""
    import os, psycopg2
    from embedded.postgres import binaries, server
    from embedded.postgres.account import Account
    PROGRAMS = binaries.usable_by(binaries.choose([]), Account("daemon", {daemon.pw_uid}, {daemon.pw_gid}))
    server.choose = lambda majors, kept: PROGRAMS
    os.chdir("/"), os.setgroups([]), os.setgid({daemon.pw_gid}), os.setuid({daemon.pw_uid})
    """
    command = python(textwrap.dedent(drop) + textwrap.dedent(code))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

"""The server as a process: whether the one on record is alive and ours, starting it, stopping it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded.postgres.account import Account, open_folder
from embedded.postgres.binaries import Installation

# A process of the shell's, so that the server becomes nobody's child. $0 is the file for its first words.
_IN_BACKGROUND = '"$@" </dev/null >"$0" 2>&1 & echo $!'


@dataclass(frozen=True)
class Postmaster:
    """What a running server has written in its data folder's lock file."""

    pid: int
    started: str
    port: int


def running_postmaster(data: Path) -> Postmaster | None:
    """The live server of a data folder; None when there is none, whatever its lock file says.

    After a crash the recorded process id can belong to a zombie or to another program by now. Raises
    PermissionError when the folder is somebody else's.
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4 or not lines[0].isdecimal() or not lines[3].isdecimal():
        return None
    postmaster = Postmaster(int(lines[0]), lines[2], int(lines[3]))
    return postmaster if _serves(postmaster.pid, data) else None


def is_alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def launch(installation: Installation, account: Account, data: Path) -> int:
    """Start the server, in a session of its own, with its first words in `start.log`; gives its process id.

    No process may be serving the folder. Raises OSError.
    """
    _clear_after_a_kill(data)
    with open_folder(data) as folder:
        server = [str(installation.postgres), "-D", folder.name, "-c", f"cluster_name={_cluster_name(data)}"]
        answer = account.run(
            ["/bin/sh", "-c", _IN_BACKGROUND, f"{folder.name}/../start.log", *server],
            timeout=30,
            folder=folder,
        )
    if not answer.stdout.strip().isdecimal():
        raise OSError(f"the shell could not start {installation.postgres}: {answer.stdout.strip()}")
    return int(answer.stdout)


def shut_down(pid: int, timeout: float) -> bool:
    """Fast shutdown: ends connections, writes everything to disk. False after `timeout` seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + timeout
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _serves(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.uids().effective != data.stat().st_uid:
            return False
        return f"cluster_name={_cluster_name(data)}" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _clear_after_a_kill(data: Path) -> None:
    """Remove what a killed server left behind and would keep a new one from starting.

    PostgreSQL takes any live process on record for a server, and doesn't start while the old one's busy
    backends live, which notice nothing. That they are gone it sees from the shared memory they hold.
    """
    lock = data / "postmaster.pid"
    if lock.exists():
        lock.unlink()
        title = f"postgres: {_cluster_name(data)}:"
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if " ".join(process.cmdline()).startswith(title):
                    process.send_signal(signal.SIGQUIT)
    for path in (data.parent / "run").glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)


def _cluster_name(data: Path) -> str:
    """A name that stays with a folder that is moved, and that its copy doesn't have.

    A process's arguments can be read where its working folder can't, as by root in most containers.
    """
    found = data.stat()
    return f"grader-elt-{found.st_dev:x}-{found.st_ino:x}"

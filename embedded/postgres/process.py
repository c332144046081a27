"""The server as a process: whether the one on record is alive and ours, starting it, stopping it, what it logs."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded.postgres.account import Account, name_inside
from embedded.postgres.binaries import Installation

# A background process of a shell's, so that the server isn't our child. $0 is the file for its output.
_IN_BACKGROUND = '"$@" </dev/null >"$0" 2>&1 & echo $!'
_LOGS_KEPT_SECONDS = 6 * 86400


@dataclass(frozen=True)
class Postmaster:
    """What a running server has written in the lock file of its folder `data`."""

    data: Path
    pid: int
    started: str
    port: int


def running_postmaster(data: Path) -> Postmaster | None:
    """The live server of a data folder; None when there is none, whatever its lock file says.

    After a crash the recorded process id can belong to a zombie or to another program by now.
    """
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4 or not lines[0].isdecimal() or not lines[3].isdecimal():
        return None
    postmaster = Postmaster(data, int(lines[0]), lines[2], int(lines[3]))
    return postmaster if _serves(postmaster.pid, data) else None


def is_alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def launch(installation: Installation, account: Account, data: Path) -> int:
    """Start the server and return its process id; what it writes before it has a log goes to `start.log`."""
    _clear_after_a_kill(data)
    place = name_inside(data)
    server = [installation.programs / "postgres", "-D", place, "-c", f"cluster_name={_cluster_name(data)}"]
    command = ["/bin/sh", "-c", _IN_BACKGROUND, f"{place}/../start.log", *server]
    answer = account.run(command, timeout=30, folder=data)
    if not answer.stdout.strip().isdecimal():
        raise OSError(f"the shell could not start {installation.programs}: {answer.stdout.strip()}")
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


def log_sizes(data: Path) -> dict[Path, int]:
    """The sizes of the server's logs in bytes, one for each day of the week, to recognise later what is new."""
    return {path: path.stat().st_size for path in (data / "log").glob("*.log")}


def logged_since(data: Path, sizes: Mapping[Path, int]) -> str:
    """The output of the last start, and what the logs hold beyond `sizes` (bytes; a file not named: all)."""
    text = ""
    for path in [data.parent / "start.log", *sorted((data / "log").glob("*.log"))]:
        with contextlib.suppress(FileNotFoundError):
            text += path.read_bytes()[sizes.get(path, 0) :].decode("utf-8", errors="replace")
    return text


def remove_old_logs(data: Path) -> None:
    """Remove the logs of a week ago, which PostgreSQL would append to after days without a start."""
    for path in (data / "log").glob("*.log"):
        if path.stat().st_mtime < time.time() - _LOGS_KEPT_SECONDS:
            path.unlink()


def _serves(pid: int, data: Path) -> bool:
    """Whether a live process is the server of the data folder, and its owner's."""
    try:
        process = psutil.Process(pid)
        is_ours = process.uids().effective == data.stat().st_uid
        return is_alive(pid) and is_ours and f"cluster_name={_cluster_name(data)}" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _clear_after_a_kill(data: Path) -> None:
    """Remove what a killed server left behind and would keep a new one from starting.

    PostgreSQL takes any live process on record for a server, and doesn't start while busy backends of the old
    one hold its shared memory: they don't notice that it is gone.
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
    """A name that a moved folder keeps and a copied one doesn't.

    It is passed as an argument because a process's working folder can't be read everywhere, its arguments can.
    """
    found = data.stat()
    return f"grader-elt-{found.st_dev:x}-{found.st_ino:x}"

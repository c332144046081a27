"""What the server has written: its first words in `start.log`, then a file for each day of the week."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from embedded.postgres.folders import Home

_KEPT_SECONDS = 6 * 86400


def log_sizes(data: Path) -> dict[Path, int]:
    """The sizes of the server's logs in bytes, to tell later what is new."""
    return {path: path.stat().st_size for path in (data / "log").glob("*.log")}


def logged_since(home: Home, data: Path, sizes: Mapping[Path, int]) -> str:
    """The last start's first words, and what the logs hold beyond `sizes` (bytes; a file not named: all)."""
    words = ""
    for path in [home.start_log, *sorted((data / "log").glob("*.log"))]:
        with contextlib.suppress(FileNotFoundError):
            words += path.read_bytes()[sizes.get(path, 0) :].decode("utf-8", errors="replace")
    return words


def remove_old_logs(data: Path) -> None:
    """Remove the logs of a week ago, which PostgreSQL would append to after a pause of days."""
    for path in (data / "log").glob("*.log"):
        if path.stat().st_mtime < time.time() - _KEPT_SECONDS:
            path.unlink()

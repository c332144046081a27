"""A command's logging: a file named by the local date, stages on the terminal, no secrets."""

import errno
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from ingestion.redaction import Redactor
from orchestration.errors import SettingsError

logger = logging.getLogger(__name__)

LOG_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.log", re.ASCII)
NOISY = ("urllib3", "dlt", "google", "asyncio", "snowplow_tracker", "requests_oauthlib", "dbt")


class RedactingFormatter(logging.Formatter):
    """A formatter whose whole output, tracebacks included, goes through a Redactor."""

    def __init__(self, redact: Redactor, fmt: str) -> None:
        super().__init__(fmt)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class DatedFileHandler(logging.FileHandler):
    """Writes to `<folder>/<local date>.log` and moves on to the next file at midnight."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failing = False
        super().__init__(self._path(time.time()), encoding="utf-8", errors="backslashreplace", delay=True)

    def _path(self, moment: float) -> str:
        return os.path.abspath(self.folder / f"{date.fromtimestamp(moment)}.log")

    def _open(self):  # type: ignore[no-untyped-def]
        private = partial(os.open, mode=0o600)
        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=private)

    def emit(self, record: logging.LogRecord) -> None:
        path = self._path(record.created)
        if path != self.baseFilename:
            self.close()
            self.baseFilename = path
        try:
            super().emit(record)
        except OSError:
            # FileHandler does not catch a failure to open the file; work doesn't stop for a log.
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that the log is incomplete; logging's own way would print the record as it is."""
        if not self.failing:
            self.failing = True
            problem = sys.exc_info()[1]
            reason = problem.strerror if isinstance(problem, OSError) else type(problem).__name__
            print(f"The log {self.baseFilename} cannot be written: {reason}.", file=sys.stderr)


class Tail(logging.Handler):
    """Keeps the last formatted lines, for the mail about a failure."""

    def __init__(self, lines: int = 30) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def configure(folder: Path, retention_days: int, secrets: Iterable[str], verbose: bool = True) -> tuple[Tail, Path]:
    """Set up logging for this process and remove outdated log files.

    `verbose` shows stages on the terminal, too, not only warnings. Returns the log's tail and today's
    file. Raises SettingsError when the folder can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = DatedFileHandler(folder)
        today = Path(file.baseFilename)
        may_write = os.access(today if today.exists() else folder, os.W_OK)
        problem = "" if may_write else os.strerror(errno.EACCES)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise SettingsError(f"LOG_DIR should be a folder that can be written: {folder}: {problem}")
    logging.raiseExceptions = False
    line = RedactingFormatter(Redactor(secrets), "%(asctime)s %(levelname)-7s %(message)s")
    tail = Tail()
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO if verbose else logging.WARNING)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in (file, tail, terminal):
        handler.setFormatter(line)
        root.addHandler(handler)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    remove_outdated(folder, retention_days, date.today())
    return tail, today


def remove_outdated(folder: Path, retention_days: int, today: date) -> list[Path]:
    """Delete and return our log files of more than `retention_days` days before `today`, and no other file."""
    removed = []
    for path in sorted(folder.iterdir()):
        named = LOG_NAME.fullmatch(path.name)
        if not named or path.is_symlink() or not path.is_file():
            continue
        try:
            if today - date.fromisoformat(named[1]) <= timedelta(days=retention_days):
                continue
            path.unlink()
        except ValueError:  # named by a day that no calendar has
            continue
        except OSError as error:
            logger.warning("outdated log %s could not be removed: %s", path.name, error.strerror)
        else:
            removed.append(path)
            logger.info("outdated log %s removed", path.name)
    return removed

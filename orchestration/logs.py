"""A command's logging: a file named by the local date, trouble on the terminal, no secrets."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.redaction import Redactor
from orchestration.errors import SettingsError
from orchestration.interrupt import held_back

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

OURS = ("__main__", "orchestration", "ingestion", "embedded")
FILE_ONLY = {"file_only": True}
"""As a record's `extra`: a line that the terminal shows in another way."""
LOG_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.log", re.ASCII)
NOISY = ("urllib3", "dlt", "google", "asyncio", "snowplow_tracker", "requests_oauthlib", "dbt")


@cache
def terminal() -> Console:
    """The terminal's standard error. Log lines and progress share it, or they would glue to each other."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


class RedactingFormatter(logging.Formatter):
    """Begins every line, those of a traceback too, with time, `name` and level; all of it goes through a Redactor."""

    def __init__(self, redact: Redactor, name: str = "") -> None:
        super().__init__()
        self._redact = redact
        self._name = f"{name} " if name else ""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{self.formatTime(record)} {self._name}{record.levelname:<7} "
        return "\n".join(head + line for line in self._redact(super().format(record)).splitlines() or [""])


class TerminalFormatter(logging.Formatter):
    """The level and the text, without secrets."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class TerminalHandler(logging.Handler):
    """Prints above what moves on a terminal; an error that comes again in other words only once."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        try:
            if record.levelno >= logging.ERROR and record.exc_info is None:
                text = record.getMessage()
                if any(text in shown or shown in text for shown in self._errors):
                    return
                self._errors.append(text)
            style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else ""
            # Text, so that nothing in it is taken for rich's markup.
            with held_back():
                terminal().print(Text(self.format(record), style=style), soft_wrap=True)
        except Exception:  # noqa: BLE001 as in every handler: work doesn't stop for a line
            self.handleError(record)


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


def configure(
    folder: Path,
    retention_days: int,
    secrets: Iterable[str],
    name: str = "",
    stages: bool = True,
    verbose: bool = False,
) -> tuple[Tail, Path]:
    """Set up logging for this process and remove outdated log files.

    `name` stands in every line: a run's id. Standard error shows warnings and errors, and `stages`
    as well where nobody watches; `verbose` shows everything, and logs details of no interest on a
    good night. Returns the log's tail and today's file. Raises SettingsError when the folder can't
    be made or written.
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
    redact = Redactor(secrets)
    line = RedactingFormatter(redact, name)
    tail = Tail()
    watched = sys.stderr.isatty()
    shown: logging.Handler = TerminalHandler() if watched else logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.DEBUG if verbose else logging.INFO if stages and not watched else logging.WARNING)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in (file, tail, shown):
        handler.setFormatter(TerminalFormatter(redact) if isinstance(handler, TerminalHandler) else line)
        if handler is not file:
            handler.addFilter(lambda record: not hasattr(record, "file_only"))
        root.addHandler(handler)
    for ours in OURS:
        logging.getLogger(ours).setLevel(logging.DEBUG if verbose else logging.NOTSET)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.ERROR)
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

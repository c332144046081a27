"""A terminal to run commands on: a pseudo-terminal, and what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TOKEN = re.compile(r"\x1b\[(\?)?([\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


@dataclass
class Terminal:
    """A command on a terminal of its own; `written` is all it wrote, `first_after` the seconds to its first byte."""

    process: subprocess.Popen[bytes]
    descriptor: int
    columns: int
    written: str = ""
    first_after: float | None = None
    _began: float = field(default_factory=time.monotonic)
    _bytes: bytes = b""

    def until(self, condition: Callable[[str], bool], timeout: float = 60) -> None:
        """Read until `condition` holds of what was written, or the command has ended."""
        deadline = time.monotonic() + timeout
        while not condition(self.written):
            assert time.monotonic() < deadline, f"not within {timeout} s: {self.screen}"
            if not select.select([self.descriptor], [], [], 0.1)[0]:
                continue
            try:
                read = os.read(self.descriptor, 1 << 16)
            except OSError:  # Linux says so when the other end is closed
                read = b""
            if not read:
                return
            self.first_after = self.first_after or time.monotonic() - self._began
            self._bytes += read
            self.written = self._bytes.decode("utf-8", "replace")

    def interrupt(self) -> None:
        """Press Ctrl-C: the whole foreground group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, timeout: float = 60) -> int:
        """Its exit code."""
        self.until(lambda _: False, timeout)
        os.close(self.descriptor)
        return self.process.wait(timeout)

    @property
    def screen(self) -> list[str]:
        """The lines that are left on the screen."""
        return shown(self.written, self.columns)


def start(
    command: Sequence[str], columns: int, environment: Mapping[str, str], cwd: Path, output: Path | None = None
) -> Terminal:
    """Run a command on a new terminal of so many columns; its standard output may go to a file instead."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    file = output.open("wb") if output else None
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={"TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=file or theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    if file:
        file.close()
    return Terminal(process, ours, columns)


def shown(written: str, columns: int) -> list[str]:
    """What is left of `written` on a terminal without end, whose lines wrap as on a real one."""
    lines: list[list[str]] = [[]]
    row = column = 0
    for token in _TOKEN.finditer(written):
        text, (private, number, letter) = token[0], token.groups()
        if letter:
            count = int(number) if number.isdigit() else 1
            if letter == "A":
                row = max(row - count, 0)
            elif letter == "K":
                assert number == "2", f"not understood: {text!r}"
                lines[row] = []
            else:
                assert letter == "m" or private, f"not understood: {text!r}"
        elif text == "\r":
            column = 0
        else:
            if text == "\n" or column == columns:
                row += 1
                column = 0 if text != "\n" else column
            while len(lines) <= row:
                lines.append([])
            if text != "\n":
                line = lines[row]
                line += " " * (column + 1 - len(line))
                line[column] = text
                column += 1
    while len(lines) > row + 1 and not "".join(lines[-1]).strip():
        lines.pop()
    return ["".join(line).rstrip() for line in lines]

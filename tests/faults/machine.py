"""A machine to have accidents on: commands in sessions of their own that can be watched and killed."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import Clone

LONG = os.environ.get("FAULTS") == "long"
PATIENCE = 120.0
HASTY = {
    "connect": 1,
    "read": 0.5,
    "request": 1.5,
    "stalled": 6,
    "tries": 3,
    "backoff": 0.01,
    "backoff_most": 0.02,
    "retry_after_most": 0.1,
    "body_most": 4 << 20,
}


@dataclass
class Command:
    """One command at work, or over: `code` is its exit code then, negative for a signal."""

    pid: int
    output_file: Path
    ended: threading.Event = field(default_factory=threading.Event)
    code: int = 0

    @property
    def output(self) -> str:
        """What it has written to the terminal."""
        return self.output_file.read_text("utf-8", "replace") if self.output_file.exists() else ""

    def kill(self) -> None:
        """kill -9 of the whole process group."""
        if not self.ended.is_set():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                # Not yet a session of its own, or just over.
                if not self.ended.wait(0.2):
                    os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code."""
        assert self.ended.wait(timeout), f"still at work after {timeout} s:\n{self.output[-3000:]}"
        return self.code


class Nursery:
    """The process that has everything imported, in a clone; its children are the commands."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.count = 0
        self._commands: dict[int, Command] = {}
        self._started: queue.Queue[int] = queue.Queue()
        environment = {"PATH": os.environ["PATH"], "HOME": str(clone.path.parent), "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            [str(clone.path / ".venv/bin/python"), "-m", "tests.faults.nursery"],
            cwd=clone.path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            if "started" in news:
                self._commands[news["started"]] = Command(news["started"], self._output)
                self._started.put(news["started"])
            else:
                command = self._commands.pop(news["ended"])
                command.code = news["code"]
                command.ended.set()

    def start(
        self,
        *arguments: str,
        small_loads: bool = False,
        patience: dict[str, float] | None = None,
        clock: float = 0,
        **settings: str,
    ) -> Command:
        """Start `python -m orchestration …`, its clock `clock` seconds ahead."""
        self.count += 1
        self._output = self.clone.path.parent / f"terminal-{self.count}.txt"
        path = os.pathsep.join([str(self.clone.path / ".venv" / "bin"), os.environ["PATH"]])
        home = str(self.clone.path.parent)
        order: dict[str, Any] = {
            "arguments": list(arguments),
            "environment": {"PATH": path, "HOME": home, "LANG": "C.UTF-8", **self.clone.settings, **settings},
            "output": str(self._output),
            "small_loads": small_loads,
            "patience": patience,
            "clock": clock,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._commands[self._started.get(timeout=PATIENCE)]

    def run(self, *arguments: str, **options: Any) -> Command:
        """Start it and wait for its end."""
        command = self.start(*arguments, **options)
        command.wait()
        return command

    def close(self) -> None:
        """Kill what is left, and end."""
        for command in list(self._commands.values()):
            command.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._listener.join(5)


def until(happened: Callable[[], bool], timeout: float = PATIENCE, glance: float = 0.002) -> bool:
    """Wait until something has happened; whether it has in time."""
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(glance)
    return True

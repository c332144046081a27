"""Commands in sessions of their own that can be watched and killed, started by a process that is prepared for them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.warehouse import Warehouse
from tests.end_to_end.clone import Clone

TIMEOUT = 120.0


@dataclass
class Command:
    """A command, running or ended: `code` is its exit code then, negative for a signal."""

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

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Its exit code."""
        assert self.ended.wait(timeout), f"still running after {timeout} s:\n{self.output[-3000:]}"
        return self.code


class PreparedProcess:
    """The process in a clone that has imported the product and parsed the dbt project; its children are the commands.

    `warehouse` is the database that most commands will use, made by superuser `server`: a project parsed for
    another one is parsed again.
    """

    def __init__(self, clone: Clone, server: Warehouse, warehouse: Warehouse) -> None:
        self.clone, self.server, self.warehouse = clone, server, warehouse
        self._count = 0
        self._output = Path()
        self._commands: dict[int, Command] = {}
        self._started: queue.Queue[int] = queue.Queue()
        self.reset()
        clone.use(warehouse)
        self._process = subprocess.Popen(
            [str(clone.path / ".venv/bin/python"), "-m", "tests.end_to_end.prepared_process"],
            cwd=clone.path,
            env=clone.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def reset(self, template: str = "template0") -> None:
        """An empty database, or a copy of `template`; no settings, logs or deliveries."""
        self.drop()
        self.administer(f"create database {self.warehouse.dbname} template {template}")
        self.clone.forget()

    def drop(self) -> None:
        """Drop the database."""
        self.administer(f"drop database if exists {self.warehouse.dbname} with (force)")

    def administer(self, *statements: str) -> None:
        """Run statements as the server's superuser, outside the database."""
        with self.server.session("tests", autocommit=True) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def start(
        self,
        *arguments: str,
        new_interpreter: bool = False,
        small_loads: bool = False,
        patience: dict[str, float] | None = None,
        clock: float = 0,
        **settings: str,
    ) -> Command:
        """Start `python -m orchestration …`.

        With `new_interpreter` it begins with nothing imported. Otherwise it may load nearly every slice by itself
        (`small_loads`), wait for the API by other `patience`, and have its clock `clock` seconds ahead.
        """
        self._count += 1
        self._output = self.clone.path.parent / f"terminal-{self._count}.txt"
        order: dict[str, Any] = {
            "arguments": list(arguments),
            "environment": self.clone.environment(**settings),
            "output": str(self._output),
            "new_interpreter": new_interpreter,
            "small_loads": small_loads,
            "patience": patience,
            "clock": clock,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._commands[self._started.get(timeout=TIMEOUT)]

    def run(self, *arguments: str, **options: Any) -> Command:
        """Start it and wait for its end."""
        command = self.start(*arguments, **options)
        command.wait()
        return command

    def close(self) -> None:
        """Kill what is left, end the process, drop the database."""
        for command in list(self._commands.values()):
            command.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        self._listener.join(5)
        self.drop()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "started" in message:
                self._commands[message["started"]] = Command(message["started"], self._output)
                self._started.put(message["started"])
            else:
                command = self._commands.pop(message["ended"])
                command.code = message["code"]
                command.ended.set()

"""Starts and stops the demo API as a process of its own."""

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

KEY_VARIABLE = "DEMO_API_KEY"
_ROOT = Path(__file__).resolve().parents[2]
_READY_WITHIN = 60.0
_STOP_WITHIN = 5.0


class DemoApiError(Exception):
    """The demo API did not start; the message says why and what to do."""


@dataclass(frozen=True)
class DemoApi:
    """Where a running demo API answers, and the credentials it accepts."""

    url: str
    client: str
    client_key: str = field(repr=False)


@contextmanager
def running(scale: float | None = None, now: datetime | None = None) -> Iterator[DemoApi]:
    """A demo API on a free loopback port with a random key, for as long as the context lasts.

    `scale` multiplies the learners of the demo school (default: DEMO_SCALE, else 1); `now` (aware) stops
    its clock, which is the machine's otherwise. The process ends with the context, and by itself as soon as
    this process is gone. Raises DemoApiError when it does not answer within a minute.
    """
    key = secrets.token_hex(16)
    command = [sys.executable, "-m", "embedded.demo_api", "--port", "0"]
    if scale is not None:
        command += ["--scale", repr(scale)]
    if now is not None:
        command += ["--now", now.isoformat()]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            cwd=_ROOT,
            env={**os.environ, KEY_VARIABLE: key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield DemoApi(**_announced(process, errors), client_key=key)
        finally:
            # Its standard input ends, and so does the process.
            try:
                process.communicate(timeout=_STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()


def _announced(process: subprocess.Popen[bytes], errors: IO[bytes]) -> dict[str, str]:
    """The line that the process prints when it is ready."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], _READY_WITHIN)[0]:
        raise DemoApiError(f"the demo API was not ready within {_READY_WITHIN:.0f} s; is the machine busy?")
    if line := process.stdout.readline():
        announced: dict[str, str] = json.loads(line)
        return announced
    code = process.wait(_STOP_WITHIN)
    errors.seek(0)
    output = errors.read().decode(errors="replace").strip() or "nothing"
    raise DemoApiError(f"the demo API ended with exit code {code} before it was ready; its output: {output}")

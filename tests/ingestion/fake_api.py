"""A grader's API of the test's own: real HTTP on loopback, with faults on request."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ingestion.api import Api, GraderApi, Patience
from ingestion.windows import Window

KEY = "k3y/with+odd &chars%"
HASTY = Patience(
    connect=1,
    read=0.3,
    request=1,
    stalled=10,
    tries=3,
    backoff=0.001,
    backoff_most=0.002,
    retry_after_most=0.05,
)


def instant(text: str) -> datetime:
    """An ISO time without a zone, taken as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def window(start: str, end: str) -> Window:
    """The window between two ISO times in UTC."""
    return Window(instant(start), instant(end))


@dataclass
class Reply:
    """What to send. `cut` bytes of the body only, then the connection ends; `drip` seconds between its bytes;
    `wait` seconds before anything; `reset` sends nothing and resets the connection.
    """

    body: bytes = b"[]"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True
    cut: int | None = None
    drip: float = 0
    wait: float = 0
    reset: bool = False


@dataclass
class FakeApi:
    """Answers with the `records` (their time, their JSON text) of the window; `rule` may answer otherwise."""

    records: list[tuple[datetime, str]] = field(default_factory=list)
    start_included: bool = True
    end_included: bool = False
    rule: Callable[[Window, int], Reply | None] = lambda _window, _number: None
    queries: list[dict[str, str]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    url: str = ""

    def reply(self, query: dict[str, str]) -> Reply:
        """The answer to one request."""
        asked = window(query["start"], query["end"])
        self.queries.append(query)
        self.windows.append(asked)
        special = self.rule(asked, len(self.windows))
        return special or Reply(self.body(asked))

    def body(self, asked: Window) -> bytes:
        """The JSON list of the window's records, as a server that behaves would send it."""
        texts = [text for moment, text in self.records if self._holds(asked, moment)]
        return f"[{', '.join(texts)}]".encode()

    def _holds(self, asked: Window, moment: datetime) -> bool:
        after = moment > asked.start or (self.start_included and moment == asked.start)
        return after and (moment < asked.end or (self.end_included and moment == asked.end))

    def client(self, patience: Patience = HASTY, now: Callable[[], datetime] | None = None) -> GraderApi:
        """A client that talks to it."""
        return GraderApi(Api(self.url, "Skillfactory", KEY, patience), now)

    @contextmanager
    def serving(self) -> Iterator[FakeApi]:
        """Serve on a free port of loopback."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}/api/statistics"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def attempt(number: int, moment: datetime, **changes: Any) -> tuple[datetime, str]:
    """A record as the grader writes it."""
    record = {
        "lti_user_id": f"{number:032x}",
        "passback_params": "{'oauth_consumer_key': '', 'lis_result_sourcedid': 'course-v1:A+B+C:lms-b:u'}",
        "is_correct": None,
        "attempt_type": "run",
        "created_at": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    return moment, json.dumps(record | changes)


def attempts(start: str, count: int, step: timedelta) -> list[tuple[datetime, str]]:
    """`count` records, `step` apart."""
    return [attempt(number, instant(start) + number * step) for number in range(count)]


def statuses(codes: Sequence[int]) -> Callable[[Window, int], Reply | None]:
    """A rule: the first requests are answered with these codes."""
    return lambda _window, number: Reply(b"no", codes[number - 1]) if number <= len(codes) else None


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            reply = api.reply(query)
            try:
                self._send(reply)
            except OSError:
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.wait)
            if reply.reset:
                self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.length:
                self.send_header("Content-Length", str(len(reply.body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            body = reply.body if reply.cut is None else reply.body[: reply.cut]
            if reply.drip:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip)
            else:
                self.wfile.write(body)
            if reply.cut is not None or not reply.length:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    return Handler

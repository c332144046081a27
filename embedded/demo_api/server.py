"""The demo API's HTTP side: one endpoint, GET /api/statistics, as the grader's vendor offers it."""

import hmac
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from embedded.demo_api.stream import blocks

PATH = "/api/statistics"
CLIENT = "demo"
_PARAMETERS = ("client", "client_key", "start", "end")


class DemoServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1 to whoever knows the key; `now` gives the instant each answer is made for."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, key: str, scale: float, now: Callable[[], datetime]) -> None:
        self.key = key
        self.scale = scale
        self.now = now
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Binds without HTTPServer's look-up of the host's name, which takes seconds without DNS."""
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Reports a fault of the server's own on stderr; a client that hung up is none."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{PATH}"


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    error_content_type = "application/json"
    error_message_format = '{"error": "%(explain)s"}'

    def do_GET(self) -> None:
        try:
            start, end = self._window()
        except _Refused as refused:
            self.send_error(refused.status, explain=str(refused))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        chunked = self.request_version != "HTTP/1.0"
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        self.end_headers()
        for piece in _body(blocks(start, end, self.server.now(), self.server.scale)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _window(self) -> tuple[datetime, datetime]:
        path, _, asked = self.path.partition("?")
        if path != PATH:
            raise _Refused(HTTPStatus.NOT_FOUND, f"there is nothing here; ask {PATH}")
        try:
            query = parse_qs(asked, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            raise _Refused(HTTPStatus.BAD_REQUEST, "the query can't be read") from None
        missing = [name for name in _PARAMETERS if name not in query]
        if missing:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"missing: {', '.join(missing)}")
        given = f"{query['client'][0]}:{query['client_key'][0]}".encode(errors="replace")
        if not hmac.compare_digest(given, f"{CLIENT}:{self.server.key}".encode()):
            raise _Refused(HTTPStatus.FORBIDDEN, "wrong client or client_key")
        start, end = (_instant(name, query[name][0]) for name in ("start", "end"))
        if end < start:
            raise _Refused(HTTPStatus.BAD_REQUEST, "end is before start")
        return start, end

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps no access log: it would put the client's key on the terminal."""


def _instant(name: str, text: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")
        if moment.isoformat(" ", "microseconds") == text:
            return moment.replace(tzinfo=timezone.utc)
    raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} must be a UTC time like 2023-05-31 09:16:11.313646")


def _body(found: Iterable[list[str]]) -> Iterator[bytes]:
    """A JSON list of the records, piece by piece."""
    separator = "["
    for block in filter(None, found):
        yield (separator + ", ".join(block)).encode("ascii")
        separator = ", "
    yield b"[]" if separator == "[" else b"]"

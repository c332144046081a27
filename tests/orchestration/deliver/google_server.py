"""Serves the emulated spreadsheet on loopback: Google's token endpoint and the paths of the Sheets API v4."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.orchestration.deliver.google_emulator import Google, Refused

TOKEN = "emulated-token"


@contextmanager
def emulated_google(google: Google) -> Iterator[Google]:
    """Serve `google` on a free port; sets its `url`."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            with lock:
                self._handle()

        do_GET = do_POST = do_PUT = handle_any

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            url = urlsplit(self.path)
            fault = google.faults.get(len(google.requests))
            google.requests.append(f"{self.command} {unquote(url.path)}")
            google.bodies.append(raw)

            def answer() -> None:
                if url.path == f"/spreadsheets/d/{google.spreadsheet}/export":
                    self._export()
                    return
                try:
                    self.reply(200, self._answer(unquote(url.path), parse_qs(url.query), raw))
                except Refused as refused:
                    error = {"code": refused.status, "message": str(refused), "status": "REFUSED"}
                    self.reply(refused.status, {"error": error})
                google.seen()

            if fault:
                fault(self, answer)
            else:
                answer()

        def _export(self) -> None:
            """What a stranger gets: never more than `to_strangers` says."""
            status, location = google.to_strangers
            assert "Authorization" not in self.headers, "it is a stranger who asks"
            assert "Cookie" not in self.headers
            self.reply(status, {}, {"Location": location} if location else None)

        def _answer(self, path: str, query: dict[str, list[str]], raw: bytes) -> dict[str, Any]:
            if path == "/token":
                return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Request had invalid authentication credentials.")
            base = f"/v4/spreadsheets/{google.spreadsheet}"
            if not path.startswith(base):
                raise Refused(404, "Requested entity was not found.")
            method = f"{self.command} {path.removeprefix(base)}"
            if method.startswith("POST") and not google.editor:
                raise Refused(403, "The caller does not have permission")
            if method == "GET ":
                return google.get()
            if method == "GET /values:batchGet":
                return google.batch_get(query)
            if method == "POST /values:batchUpdate":
                return google.batch_values(json.loads(raw))
            if method == "POST :batchUpdate":
                return google.batch_update(json.loads(raw))
            raise Refused(404, f"no such method: {method}")

        def reply(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests read `google.requests` instead."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    google.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield google
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

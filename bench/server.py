"""The API of the benchmarks: serves the body of the day asked for from its file, as fast as it can."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_SECOND = timedelta(seconds=1)


def serve(folder: Path) -> None:
    """Answer on a free port of 127.0.0.1, which is printed first, until killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            start = parse_qs(urlsplit(self.path).query)["start"][0]
            # A slice may begin a microsecond before its day.
            day = datetime.strptime(start, "%Y-%m-%d %H:%M:%S.%f") + _SECOND
            path = folder / f"{day:%Y-%m-%d}.json"
            size = path.stat().st_size if path.exists() else 2
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if not path.exists():
                self.wfile.write(b"[]")
                return
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 the base class's name
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

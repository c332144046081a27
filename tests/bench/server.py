"""The API of the benchmarks: serves the body of the day asked for from its file, as fast as it can.

`python -m tests.bench.server FOLDER` prints its port on 127.0.0.1 and answers until killed. A body in the subfolder
named like the request's `client` goes before the one that is for everybody.
"""

from __future__ import annotations

import shutil
import sys
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.bench.bodies import ZONE

_SECOND = timedelta(seconds=1)


def serve(folder: Path) -> None:
    """Answer on a free port, which is printed first, until killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            start = datetime.strptime(query["start"][0], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
            # A slice may begin a microsecond before its day.
            name = f"{(start + _SECOND).astimezone(ZONE):%Y-%m-%d}.json"
            found = [path for path in (folder / query["client"][0] / name, folder / name) if path.exists()]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(found[0].stat().st_size if found else 2))
            self.end_headers()
            if not found:
                self.wfile.write(b"[]")
                return
            with found[0].open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 the base class's name
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

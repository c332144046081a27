"""`python -m embedded.demo_api`: serves the demo API until its standard input ends."""

import argparse
import json
import os
import sys
from contextlib import suppress
from datetime import datetime, timezone
from math import inf
from threading import Thread

from embedded.demo_api.process import KEY_VARIABLE
from embedded.demo_api.server import CLIENT, DemoServer


def main() -> int:
    """Prints {"url": …, "client": …} when ready and serves until standard input ends; 2 means bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m embedded.demo_api",
        description="A stand-in for the grader's API with made-up data, on 127.0.0.1, until standard input "
        f"ends. Clients must send the key in the environment variable {KEY_VARIABLE}.",
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--scale",
        type=_scale,
        default=os.environ.get("DEMO_SCALE") or "1",
        help="multiplies the learners; 1 makes some 3,000 records a day (default: DEMO_SCALE, else 1)",
    )
    parser.add_argument("--now", type=_moment, help="ISO time (UTC unless it has a zone) to stop the clock at")
    options = parser.parse_args()
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        parser.error(f"{KEY_VARIABLE} must hold the key that clients of the demo API have to send")
    server = DemoServer(options.port, key, options.scale, lambda: options.now or datetime.now(timezone.utc))
    Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": server.url, "client": CLIENT}), flush=True)
    try:
        while sys.stdin.buffer.read(4096):
            pass
    except KeyboardInterrupt:
        return 130
    return 0


def _scale(text: str) -> float:
    with suppress(ValueError):
        if 0 < (scale := float(text)) < inf:
            return scale
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO date and time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


if __name__ == "__main__":
    sys.exit(main())

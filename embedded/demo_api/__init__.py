"""A stand-in for the grader vendor's API: a real HTTP server on loopback with a made-up school behind it.

`running()` starts it as a process of its own and stops it; `records()` gives the same records without HTTP.
The data is deterministic: see `stream` for what an answer depends on.
"""

from embedded.demo_api.process import DemoApi, DemoApiError, running
from embedded.demo_api.stream import records

__all__ = ["DemoApi", "DemoApiError", "records", "running"]

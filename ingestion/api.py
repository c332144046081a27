"""The grader's API: one window of time -> the records it answers with.

`GET {url}?client=…&client_key=…&start=…&end=…`, times in UTC, answers a JSON list. There is no paging
and no documented limit, so a window that is refused or takes too long is requested in halves.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import requests
import urllib3

from ingestion.endpoint import Api, Patience
from ingestion.errors import ApiError, CancelledError
from ingestion.faults import Fault, of_exception, of_status, timed_out
from ingestion.records import BrokenBodyError, Records, split
from ingestion.redaction import Redactor
from ingestion.windows import Window, format_instant, halves

__all__ = ["Answer", "Api", "GraderApi", "Patience"]

log = logging.getLogger(__name__)
# urllib3 writes every request's address, and with it the key, at DEBUG.
logging.getLogger("urllib3.connectionpool").addFilter(lambda record: record.levelno > logging.DEBUG)

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What the API answered for `window`, requested at `fetched_at` (UTC).

    `size` is the body's length in bytes, `seconds` the time the successful request took.
    """

    window: Window
    records: Records
    fetched_at: datetime
    size: int
    seconds: float


class GraderApi:
    """A client of the API; safe to use from several threads at once."""

    def __init__(self, api: Api, now: Callable[[], datetime] | None = None) -> None:
        self.api = api
        self._now = now or (lambda: datetime.now(timezone.utc))
        self._local = threading.local()
        self._splitting = threading.Lock()

    def fetch(self, window: Window, stopped: threading.Event | None = None) -> list[Answer]:
        """All records of `window`, as one answer or, where it had to be halved, several in order.

        Raises ApiError when any part of it can't be had; CancelledError soon after `stopped` is set.
        """
        work = _Work(stopped or threading.Event())
        try:
            self._fetch(work, window, self.api.patience.tries)
            return work.answers
        except Fault as error:
            fault = error
        raise ApiError(
            Redactor([self.api.client_key])(
                f"The grader's API at {self.api.label} could not be read: {fault.text}. status_code={fault.code} "
                f"window={work.failed}. What to do: {fault.advice}."
            ),
            fault.status_code,
            work.failed or window,
            outage=fault.retry,
        )

    def _fetch(self, work: _Work, window: Window, tries: int) -> None:
        """Add the answers for `window`, or those for its halves where that may help. Raises Fault."""
        try:
            self._retry(work, window, tries)
            return
        except Fault as fault:
            work.failed = window
            if not fault.halve or window.length / 2 < self.api.patience.shortest or self._is_stalled(work):
                raise
            log.warning("The API failed on %s (%s): requesting its halves.", window, fault.text)
        for half in halves(window):
            self._fetch(work, half, self.api.patience.tries_when_halved)

    def _is_stalled(self, work: _Work) -> bool:
        return time.monotonic() - work.advanced >= self.api.patience.stalled

    def _retry(self, work: _Work, window: Window, tries: int) -> None:
        """Request `window` until it is answered, at most `tries` times. Raises Fault."""
        for number in itertools.count(1):
            try:
                work.answers.append(self._request(work, window))
                work.advanced = time.monotonic()
                return
            except Fault as fault:
                # Who gave up is not to be told of what broke by that.
                work.sleep(0)
                most = min(tries, self.api.patience.tries_on_timeout) if fault.timed_out else tries
                if not fault.retry or number >= most or self._is_stalled(work):
                    raise
                seconds = self._backoff(fault, number)
                log.warning(
                    "The API failed on %s (%s, status_code=%s): trying again in %.1f s.",
                    window,
                    fault.text,
                    fault.code,
                    seconds,
                )
            work.sleep(seconds)

    def _backoff(self, fault: Fault, number: int) -> float:
        """Seconds to wait after try `number`: what the API says, within bounds, else exponential."""
        patience = self.api.patience
        if fault.wait is not None:
            return min(fault.wait, patience.retry_after_most)
        jitter = random.uniform(0, patience.backoff)  # noqa: S311 no secret depends on it
        return min(patience.backoff * 2.0 ** (number - 1), patience.backoff_most) + jitter

    def _request(self, work: _Work, window: Window) -> Answer:
        fetched_at, began = self._now(), time.monotonic()
        try:
            body = self._receive(work, window, began + self.api.patience.request)
            size = len(body)
            # One at a time: several bodies cut up at once would only add up in memory.
            with self._splitting:
                records = split(body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise of_exception(error) from None
        except BrokenBodyError as error:
            advice = Fault.advice if error.cut_short else "check API_URL"
            raise Fault(
                f"it answered with {error}", 200, advice, retry=error.cut_short, halve=error.cut_short
            ) from None
        return Answer(window, records, fetched_at, size, time.monotonic() - began)

    def _receive(self, work: _Work, window: Window, deadline: float) -> bytearray:
        patience = self.api.patience
        query = {
            "client": self.api.client,
            "client_key": self.api.client_key,
            "start": format_instant(window.start),
            "end": format_instant(window.end),
        }
        body = bytearray()
        with self._session().get(
            self.api.url,
            params=query,
            timeout=(patience.connect, min(patience.read, patience.request)),
            stream=True,
            allow_redirects=False,
        ) as response:
            if response.status_code != requests.codes.ok:
                raise of_status(response.status_code, response.headers.get("Retry-After"), self._now())
            # Not iter_content: it waits until a chunk is full, however slowly the bytes come in.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                body += chunk
                work.sleep(0)
                if len(body) > patience.body_most:
                    raise Fault(f"its answer is over {patience.body_most:,} bytes", 200, halve=True)
                if time.monotonic() > deadline:
                    raise timed_out(f"its answer was not whole after {patience.request:g} s")
        return body

    def _session(self) -> requests.Session:
        """One session a thread: requests does not promise that they can be shared."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["Accept"] = "application/json"
            # Without it, requests would send what ~/.netrc holds for this host.
            session.auth = lambda request: request
            self._local.session = session
        return session


@dataclass
class _Work:
    """One call of `fetch`: the answers so far, when the last came, which window failed last."""

    stopped: threading.Event
    failed: Window | None = None
    answers: list[Answer] = field(default_factory=list)
    advanced: float = field(default_factory=time.monotonic)

    def sleep(self, seconds: float) -> None:
        if self.stopped.wait(seconds):
            raise CancelledError("Fetching was given up.")

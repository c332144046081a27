"""What may go wrong with one request, and whether a retry or a shorter window may help."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests
import urllib3

from ingestion.errors import causes

RETRIED = frozenset({408, 425, 429})
HALVED = frozenset({400, 408, 413, 414, 422, 500, 502, 503, 504})
_ADVICE = {
    400: "see whether the API's parameters have changed",
    401: "check API_CLIENT and API_CLIENT_KEY",
    403: "check API_CLIENT and API_CLIENT_KEY",
    404: "check API_URL",
    429: "the API asks for fewer requests; run again later",
}


@dataclass(eq=False)
class Fault(Exception):
    """One failed try. `text` says what happened, `advice` what to do; neither holds a secret.

    `retry` and `halve`: another try, or requests for the window's halves, may help. `wait`: so many
    seconds the API wants to be left alone.
    """

    text: str
    status_code: int | None = None
    advice: str = "run again later; if it goes on, ask the API's operator"
    retry: bool = False
    halve: bool = False
    timed_out: bool = False
    wait: float | None = None

    @property
    def code(self) -> str:
        return "none" if self.status_code is None else str(self.status_code)


def of_status(code: int, retry_after: str | None, now: datetime) -> Fault:
    """The fault of an answer whose status is not 200; `retry_after` is the header of that name."""
    if 300 <= code < 400:
        return Fault(
            "it answered with a redirect, which is not followed: that could hand the key to another host",
            code,
            "set API_URL to the final address",
        )
    again = code in RETRIED or code >= 500
    advice = _ADVICE.get(code, Fault.advice if again else "check API_URL and the account")
    return Fault(
        f"it answered with status {code}",
        code,
        advice,
        retry=again,
        halve=code in HALVED,
        wait=seconds_to_wait(retry_after, now) if code in (429, 503) else None,
    )


def of_exception(error: requests.RequestException | urllib3.exceptions.HTTPError | OSError) -> Fault:
    """The fault behind an exception of requests, in our own words: theirs hold the address with the key."""
    chain = list(causes(error))
    if isinstance(error, requests.exceptions.SSLError) or _has(chain, urllib3.exceptions.SSLError):
        return Fault(
            "its TLS certificate could not be verified",
            advice="check API_URL and this machine's certificates",
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return Fault("the proxy could not be used", advice="check HTTPS_PROXY and the network", retry=True)
    network = "check API_URL and the network"
    if _has(chain, urllib3.exceptions.NameResolutionError):
        return Fault("its host name could not be resolved", advice=network, retry=True)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Fault("connecting took too long", advice=network, retry=True)
    if _has(chain, urllib3.exceptions.NewConnectionError):
        return Fault("the connection was refused or its host is unreachable", advice=network, retry=True)
    if isinstance(error, requests.exceptions.Timeout) or _has(chain, urllib3.exceptions.TimeoutError, TimeoutError):
        return timed_out("it sent nothing for too long")
    if isinstance(error, ValueError):
        return Fault("the request could not be made", advice="check API_URL")
    return Fault("the connection broke before the answer was whole", retry=True, halve=True)


def timed_out(text: str) -> Fault:
    """The fault of an answer that did not come in time."""
    return Fault(text, retry=True, halve=True, timed_out=True)


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """Retry-After (RFC 9110: seconds or an HTTP date) as seconds from `now`, or None."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - now).total_seconds())


def _has(chain: Iterable[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(error, kinds) for error in chain)

"""Whether strangers can read a Google spreadsheet, asked as a stranger: without any credentials."""

import logging
import time
from collections.abc import Callable
from enum import Enum, auto
from urllib.parse import urljoin, urlsplit

import requests

from orchestration.settings import GoogleSettings

logger = logging.getLogger(__name__)

PLACE, ACCOUNTS = "https://docs.google.com", "accounts.google.com"
_TRIES, _WAIT = 3, 2.0
_CLOSED = frozenset({401, 403, 404})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Openness(Enum):
    """Who can read a spreadsheet: those it is shared with, or anyone with its link."""

    PRIVATE = auto()
    OPEN = auto()
    UNKNOWN = auto()


def openness(google: GoogleSettings, timeout: float, sleep: Callable[[float], None] = time.sleep) -> Openness:
    """What a stranger gets who asks for the spreadsheet as CSV; UNKNOWN when nobody answers, after some tries.

    A private one is refused, or answered by the way to a sign-in. All else counts as OPEN.
    """
    url = f"{google.api_url or PLACE}/spreadsheets/d/{google.spreadsheet}/export?format=csv"
    problem = ""
    for number in range(_TRIES):
        if number:
            sleep(_WAIT)
        try:
            with requests.get(url, timeout=timeout, allow_redirects=False, stream=True, auth=_as_nobody) as answer:
                if answer.status_code < 500 and answer.status_code not in (408, 429):
                    return _judged(answer)
                problem = f"status {answer.status_code}"
        except requests.RequestException as error:
            problem = type(error).__name__
    logger.warning("whether the spreadsheet is private could not be found out: %s", problem)
    return Openness.UNKNOWN


def _judged(answer: requests.Response) -> Openness:
    if answer.status_code in _CLOSED:
        return Openness.PRIVATE
    if answer.status_code in _REDIRECTS and _is_sign_in(urljoin(answer.url, answer.headers.get("Location", ""))):
        return Openness.PRIVATE
    return Openness.OPEN


def _is_sign_in(location: str) -> bool:
    """Whether an address is one where people sign in to Google."""
    parts = urlsplit(location)
    return parts.hostname == ACCOUNTS or parts.path.startswith(("/ServiceLogin", "/signin", "/v3/signin"))


def _as_nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No authentication: without this, requests would look into ~/.netrc."""
    return request

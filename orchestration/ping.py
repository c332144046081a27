"""A dead man's switch: a GET at the start, the success and the failure of each run (setting PING_URL).

The paths are those of https://healthchecks.io/docs/http_api/. The address may hold a secret, so it
is named nowhere.
"""

import logging
from typing import Literal

import requests

logger = logging.getLogger(__name__)

SECONDS = 10
PATHS = {"start": "/start", "success": "", "failure": "/fail"}


def ping(url: str | None, what: Literal["start", "success", "failure"]) -> None:
    """Tell whoever watches; nothing without an address. What fails is logged and stops nothing."""
    if url is None:
        return
    try:
        answer = requests.get(url.rstrip("/") + PATHS[what], timeout=SECONDS, allow_redirects=False)
        problem = "" if answer.ok else f"status {answer.status_code}"
    except requests.RequestException as error:
        problem = type(error).__name__
    if problem:
        logger.warning("the ping at the %s of the run did not get through (%s): see PING_URL", what, problem)

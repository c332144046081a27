"""Speaking to the Google Sheets API: each request with a timeout, every failure in one clean form."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import google.auth.exceptions
import requests
from google.oauth2.service_account import Credentials
from gspread.http_client import HTTPClient

from orchestration.deliver import DeliveryError, words

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)
GOOGLE = "https://sheets.googleapis.com"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class RequestFailed(Exception):
    """A request that brought no answer to use. `status` is None when the connection or the token failed;
    `again` tells whether it may work later, and `retry_after` in how many seconds the server wants to be
    asked again."""

    def __init__(
        self, text: str, status: int | None = None, again: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.again = again
        self.retry_after = retry_after


class ServiceAccount(Credentials):
    """A service account that asks for a token and for nothing else.

    google-auth would start a thread of its own that looks up regional limits at another of Google's
    addresses: no use to spreadsheets, in nobody's log, and past any proxy.
    """

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        """Put a valid token into `headers`."""
        if not self.valid:
            self.refresh(request)  # type: ignore[no-untyped-call]
        self.apply(headers)  # type: ignore[no-untyped-call]


def read_credentials(path: Path) -> ServiceAccount:
    """The service account in `path` (the JSON file Google gives out), limited to spreadsheets.

    Raises DeliveryError that names the file, never its content.
    """
    problem = ""
    try:
        info = json.loads(path.read_bytes())
        account: ServiceAccount = ServiceAccount.from_service_account_info(  # type: ignore[no-untyped-call]
            info, scopes=SCOPES
        )
        return account
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except (ValueError, TypeError, AttributeError, google.auth.exceptions.GoogleAuthError):
        problem = "it is not the JSON key of a service account"
    raise DeliveryError(f"GOOGLE_CREDENTIALS_FILE {path} cannot be used: {problem}")


class SheetsHttp(HTTPClient):
    """gspread's plain client, pointed at `base` instead of Google's address when one is given.

    Gives up a request when it has waited `timeout` seconds for the other side, or at `deadline` (of the
    monotonic clock).
    """

    def __init__(self, credentials: Credentials, base: str | None, timeout: float, deadline: float) -> None:
        super().__init__(credentials)
        self._base = (base or GOOGLE).rstrip("/")
        self._patience = timeout
        self._deadline = deadline

    def request(
        self,
        method: str,
        endpoint: str,
        params: Any = None,
        data: bytes | None = None,
        json: Mapping[str, Any] | None = None,
        files: Any = None,
        headers: Any = None,
    ) -> requests.Response:
        """One request. Raises RequestFailed for every answer but 2xx with a body of JSON."""
        self.set_timeout(max(min(self._patience, self._deadline - time.monotonic()), 0.1))
        url = self._base + endpoint.removeprefix(GOOGLE)
        try:
            response = self.session.request(
                method,
                url,
                params=params,
                data=data,
                json=json,
                files=files,
                headers=headers,
                timeout=self.timeout,
            )
            if response.ok:
                response.json()
                return response
            failure = _refused(response)
        except google.auth.exceptions.RefreshError as error:
            failure = _no_token(error)
        except (google.auth.exceptions.TransportError, requests.RequestException) as error:
            failure = RequestFailed(f"no answer from {self._base} ({type(error).__name__})", again=True)
        raise failure


def _refused(response: requests.Response) -> RequestFailed:
    try:
        told = words.one_line(str(response.json()["error"]["message"]), 300)
    except (ValueError, KeyError, TypeError):
        told = words.one_line(response.reason or "", 100)
    status = response.status_code
    wait = _seconds(response.headers.get("Retry-After"))
    return RequestFailed(f"Google answered {status}: {told}", status, status in _RETRIED, wait)


def _no_token(error: google.auth.exceptions.RefreshError) -> RequestFailed:
    """The token endpoint names the reason by a code such as `invalid_grant`; nothing else is told."""
    answer = error.args[1] if len(error.args) > 1 else None
    code = answer.get("error") if isinstance(answer, dict) else None
    reason = words.one_line(code, 60) if isinstance(code, str) else "no reason given"
    return RequestFailed(f"Google gave the service account no token ({reason})", again=bool(error.retryable))


def _seconds(header: str | None) -> float | None:
    """Retry-After: a number of seconds or an HTTP date."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return max((aware - datetime.now(timezone.utc)).total_seconds(), 0)

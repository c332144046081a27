"""The Google Sheets API over HTTP: each request with a timeout, every failure in one clean form."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import google.auth.exceptions
import requests
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.service_account import Credentials

from ingestion.faults import seconds_to_wait
from orchestration.deliver import DeliveryError, words
from orchestration.deliver.retry import TryFailed
from orchestration.settings import GoogleSettings

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)
GOOGLE = "https://sheets.googleapis.com"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class RequestFailed(TryFailed):
    """A request without a usable answer. `status` is None when the connection or the token failed."""

    def __init__(
        self, text: str, status: int | None = None, again: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(text, again, retry_after)
        self.status = status


class ServiceAccount(Credentials):
    """A service account that asks for a token and for nothing else.

    google-auth's own `before_request` also starts a thread that looks up regional limits at another
    of Google's addresses: of no use to spreadsheets, and past any proxy.
    """

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        """Put a valid token into `headers`."""
        if not self.valid:
            self.refresh(request)  # type: ignore[no-untyped-call]
        self.apply(headers)  # type: ignore[no-untyped-call]


def read_credentials(path: Path) -> ServiceAccount:
    """The service account in `path` (the JSON key that Google hands out), limited to spreadsheets.

    Raises DeliveryError that names the file, never its content.
    """
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


class SpreadsheetApi:
    """One spreadsheet in the Sheets API.

    A request is given up when it has waited `timeout` seconds for the other side, or at `deadline`
    (of the monotonic clock).
    """

    def __init__(self, google: GoogleSettings, timeout: float, deadline: float) -> None:
        account = read_credentials(google.credentials_file)
        self._session: requests.Session = AuthorizedSession(account)  # type: ignore[no-untyped-call]
        self._base = google.api_url or GOOGLE
        self._url = f"{self._base}/v4/spreadsheets/{google.spreadsheet}"
        self._timeout, self._deadline = timeout, deadline

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Read what is at `path` below the spreadsheet. Raises RequestFailed."""
        return self._request("GET", path, params=parameters)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Send `body` as JSON to `path` below the spreadsheet. Raises RequestFailed."""
        return self._request("POST", path, json=body)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _request(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        seconds = max(min(self._timeout, self._deadline - time.monotonic()), 0.1)
        try:
            response = self._session.request(method, self._url + path, timeout=seconds, **content)
            if response.ok:
                answer: dict[str, Any] = response.json()
                return answer
            failure = _refused(response)
        except google.auth.exceptions.RefreshError as error:
            failure = _no_token(error)
        except (google.auth.exceptions.TransportError, requests.RequestException) as error:
            failure = RequestFailed(f"no answer from {self._base} ({type(error).__name__})", again=True)
        raise failure


def _refused(response: requests.Response) -> RequestFailed:
    try:
        reason = words.one_line(str(response.json()["error"]["message"]), 300)
    except (ValueError, KeyError, TypeError):
        reason = words.one_line(response.reason or "", 100)
    status = response.status_code
    wait = seconds_to_wait(response.headers.get("Retry-After"), datetime.now(timezone.utc))
    return RequestFailed(f"Google answered {status}: {reason}", status, status in _RETRIED, wait)


def _no_token(error: google.auth.exceptions.RefreshError) -> RequestFailed:
    """The token endpoint gives its reason as a code such as `invalid_grant`; nothing else is passed on."""
    answer = error.args[1] if len(error.args) > 1 else None
    code = answer.get("error") if isinstance(answer, dict) else None
    reason = words.one_line(code, 60) if isinstance(code, str) else "no reason given"
    return RequestFailed(f"Google gave the service account no token ({reason})", again=bool(error.retryable))

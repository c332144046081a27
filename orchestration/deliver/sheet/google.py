"""The Google spreadsheet: read what is there, bring worksheets and formats up to date, write the values.

Each step is derived from what was just read, so after a lost answer the whole sequence simply runs
again: what was done already is not done twice. The values of all worksheets travel in a single
request; a reader sees the old tables or the new ones. A delivery takes four requests at most, and
one for a token; two when nothing has changed. Google allows sixty a minute:
https://developers.google.com/workspace/sheets/api/limits
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import google.auth.exceptions
import requests
from google.oauth2.service_account import Credentials
from gspread.http_client import HTTPClient

from ingestion.faults import seconds_to_wait
from orchestration.deliver import DeliveryError, words
from orchestration.deliver.catalogue import mark
from orchestration.deliver.retry import TryFailed, with_retries
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.sheet.google_requests import FIELDS, Plan, Sheet, own_range, places, plan, read_sheets
from orchestration.deliver.sheet.sharing import Openness, openness
from orchestration.deliver.sheet.tables import Tables, titles
from orchestration.settings import GoogleSettings
from orchestration.summary import Delivery

T = TypeVar("T")
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
GOOGLE = "https://sheets.googleapis.com"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
REFUSED = mark(
    "'{title}' was not written: anyone with the link can read the spreadsheet. "
    "Share it with named people only, or unset SHARE_LEARNERS"
)
NOT_KNOWN = mark(
    "'{title}' was not written: whether the spreadsheet is private could not be found out. The next delivery asks again"
)


class GoogleSheet:
    """The spreadsheet of the settings, written as their service account.

    `timeout` bounds a request, `deadline` the whole delivery with its retries, both in seconds;
    `patience`: how long an outage is waited out beyond that.
    """

    name = mark("Google spreadsheet")

    def __init__(
        self,
        google: GoogleSettings,
        *,
        timeout: float = 60,
        deadline: float = 300,
        patience: float = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._google = google
        self._timeout, self._deadline, self._sleep = timeout, deadline, sleep
        self._patience = patience

    @property
    def target(self) -> str:
        return f"https://docs.google.com/spreadsheets/d/{self._google.spreadsheet}"

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the spreadsheet to hold `tables`; after a DeliveryError it has the old or the new.

        Single learners are kept out of a spreadsheet that others than those it is shared with can read.
        """
        tables, refused = self._guarded(tables)
        written = self._with_retries(lambda api: _deliver(api, tables))
        if written:
            detail = tables.words.text("{days} written", days=tables.days)
        else:
            detail = tables.words.text("{days}, already up to date", days=tables.days)
        if refused:
            return Delivery(self.name, False, self.target, f"{detail}; {refused}")
        return Delivery(self.name, True, self.target, detail)

    def preview(self, tables: Tables) -> list[Change]:
        """What `deliver` would change; changes nothing. Raises DeliveryError."""
        tables, _ = self._guarded(tables)
        return self._with_retries(lambda api: _plan(api, tables)).changes

    def _guarded(self, tables: Tables) -> tuple[Tables, str]:
        """The tables that may be written, and why that of single learners may not, in words."""
        if tables.learners is None:
            return tables, ""
        found = openness(self._google, self._timeout, self._sleep)
        if found is Openness.PRIVATE:
            return tables, ""
        return tables.without_learners(), tables.words.text(
            REFUSED if found is Openness.OPEN else NOT_KNOWN, title=tables.learners.title
        )

    def check(self) -> str:
        for title, sheet in self._with_retries(_check).items():
            if sheet.locked and title in titles():
                raise DeliveryError(
                    f"{self.target}: the worksheet '{title}' is protected against {self._robot()}. "
                    "Let it edit, or remove the protection"
                )
        return f"{self.target} can be written"

    def _with_retries(self, act: Callable[[SpreadsheetApi], T]) -> T:
        api = SpreadsheetApi(self._google, self._timeout, time.monotonic() + max(self._deadline, self._patience))
        try:
            return with_retries(self.name, lambda: act(api), self._deadline, self._sleep, self._patience)
        except TryFailed as caught:
            failure = caught
        finally:
            api.session.close()
        raise DeliveryError(f"{self.target}: {failure}{self._advice(failure)}")

    def _advice(self, failure: TryFailed) -> str:
        if failure.status in {403, 404}:
            return f". Share the spreadsheet with {self._robot()} as an editor; is its id right?"
        if failure.again:
            return ". Retries did not help; the next run or `make deliver` repeats it"
        if failure.status is None:
            return f". See whether {self._google.credentials_file} is still a valid key of {self._robot()}"
        return ""

    def _robot(self) -> str:
        return str(read_credentials(self._google.credentials_file).service_account_email)


def _check(api: SpreadsheetApi) -> dict[str, Sheet]:
    """The worksheets; raises TryFailed without the right to edit.

    Searching and replacing a text that nobody has written needs that right, and changes nothing.
    """
    sheets = api.worksheets()
    nothing = {"find": uuid.uuid4().hex, "replacement": "", "matchEntireCell": True, "allSheets": True}
    api.change([{"findReplace": nothing}])
    return sheets


def _deliver(api: SpreadsheetApi, tables: Tables) -> bool:
    """Bring the spreadsheet to hold `tables`; returns whether anything had to change."""
    made = _plan(api, tables)
    if made.structure:
        api.change(made.structure)
    if made.values:
        api.values_batch_update(api.spreadsheet, {"valueInputOption": "RAW", "data": made.values})
    return bool(made.structure or made.values)


def _plan(api: SpreadsheetApi, tables: Tables) -> Plan:
    """What there is to do, by the spreadsheet as it is."""
    sheets = api.worksheets()
    return plan(tables, sheets, _read(api, tables, sheets))


def _read(api: SpreadsheetApi, tables: Tables, sheets: dict[str, Sheet]) -> dict[str, Any]:
    """The values in our columns, by our titles, days and times as serial numbers; all of what is withdrawn."""
    present = {title: (there, sheets[there]) for title, there in places(tables, sheets).items()}
    widths = {content.title: content.width for content in tables}
    ranges = [
        own_range(there, min(widths.get(title, sheet.columns), sheet.columns))
        for title, (there, sheet) in present.items()
        if sheet.columns
    ]
    if not ranges:
        return {}
    answer = api.values_batch_get(
        api.spreadsheet,
        ranges,
        {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "SERIAL_NUMBER"},
    )
    read = [title for title, (_, sheet) in present.items() if sheet.columns]
    return {title: got.get("values", []) for title, got in zip(read, answer.get("valueRanges", []), strict=True)}


class ServiceAccount(Credentials):
    """A service account that asks for a token and for nothing else.

    google-auth's own `before_request` also looks up regional limits elsewhere, past any proxy.
    """

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        if not self.valid:
            self.refresh(request)  # type: ignore[no-untyped-call]
        self.apply(headers)  # type: ignore[no-untyped-call]


def read_credentials(path: Path) -> ServiceAccount:
    """The service account in `path`. Raises DeliveryError that names the file, never its content."""
    try:
        account: ServiceAccount = ServiceAccount.from_service_account_info(  # type: ignore[no-untyped-call]
            json.loads(path.read_bytes()), scopes=[SCOPE]
        )
        return account
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except (ValueError, TypeError, AttributeError, google.auth.exceptions.GoogleAuthError):
        problem = "it is not the JSON key of a service account"
    raise DeliveryError(f"GOOGLE_CREDENTIALS_FILE {path} cannot be used: {problem}")


class SpreadsheetApi(HTTPClient):
    """gspread's plain client for one spreadsheet, at the base URL of the settings.

    A request is given up after `timeout` seconds of silence, or at `deadline` (of the monotonic clock).
    """

    def __init__(self, google: GoogleSettings, timeout: float, deadline: float) -> None:
        super().__init__(read_credentials(google.credentials_file))
        self.spreadsheet = google.spreadsheet
        self._base = google.api_url or GOOGLE
        self._longest, self._deadline = timeout, deadline

    def worksheets(self) -> dict[str, Sheet]:
        return read_sheets(self.fetch_sheet_metadata(self.spreadsheet, {"fields": FIELDS}))

    def change(self, actions: list[dict[str, Any]]) -> None:
        """Send requests of a batchUpdate, which takes effect as a whole. Raises TryFailed."""
        self.batch_update(self.spreadsheet, {"requests": actions})

    def request(self, method: str, endpoint: str, **content: Any) -> requests.Response:  # type: ignore[override]
        """What every method of gspread's client goes through. Raises TryFailed."""
        seconds = max(min(self._longest, self._deadline - time.monotonic()), 0.1)
        url = self._base + endpoint.removeprefix(GOOGLE)
        try:
            response = self.session.request(method, url, timeout=seconds, **content)
            if response.ok:
                response.json()
                return response
            failure = _refused(response)
        except google.auth.exceptions.RefreshError as error:
            failure = _no_token(error)
        except (google.auth.exceptions.TransportError, requests.RequestException) as error:
            failure = TryFailed(f"no answer from {self._base} ({type(error).__name__})", again=True)
        raise failure


def _refused(response: requests.Response) -> TryFailed:
    try:
        reason = words.one_line(str(response.json()["error"]["message"]), 300)
    except (ValueError, KeyError, TypeError):
        reason = words.one_line(response.reason or "", 100)
    status = response.status_code
    wait = seconds_to_wait(response.headers.get("Retry-After"), datetime.now(timezone.utc))
    failure = TryFailed(f"Google answered {status}: {reason}", status in _RETRIED, wait)
    failure.status = status
    return failure


def _no_token(error: google.auth.exceptions.RefreshError) -> TryFailed:
    """The token endpoint's reason is a code such as `invalid_grant`; nothing else is passed on."""
    answer = error.args[1] if len(error.args) > 1 else None
    code = answer.get("error") if isinstance(answer, dict) else None
    reason = words.one_line(code, 60) if isinstance(code, str) else "no reason given"
    return TryFailed(f"Google gave the service account no token ({reason})", again=bool(error.retryable))

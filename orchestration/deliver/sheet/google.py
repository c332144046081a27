"""The Google spreadsheet: read what is there, make room, write the values at once, then dress it.

Each step is worked out from what was just read, so after a lost answer the whole way is simply gone again:
what was done already is not done twice. The values of all worksheets travel in a single request; a reader
sees the old tables or the new ones.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tenacity

from orchestration.deliver import DeliveryError
from orchestration.deliver.sheet.google_http import RequestFailed, SheetsHttp, read_credentials
from orchestration.deliver.sheet.google_requests import (
    FIELDS,
    Sheet,
    look,
    own_range,
    read_sheets,
    sizing,
    values,
)
from orchestration.deliver.sheet.tables import Tables
from orchestration.summary import Delivery

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_ATTEMPTS = 6
_JITTERED = tenacity.wait_exponential_jitter(multiplier=1, max=30, jitter=1)


class GoogleSheet:
    """One spreadsheet (its id or its URL), written as the service account in `credentials_file`.

    `api_url` replaces Google's address (without `/v4`). `timeout` bounds a request, `deadline` the whole
    delivery with its repeats, both in seconds; `sleep` is what waits between repeats.
    """

    name = "Google spreadsheet"

    def __init__(
        self,
        credentials_file: Path,
        spreadsheet: str,
        api_url: str | None = None,
        *,
        timeout: float = 60,
        deadline: float = 300,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials_file = credentials_file
        self._id = spreadsheet_id(spreadsheet)
        self._api_url = api_url
        self._timeout = timeout
        self._seconds = deadline
        self._sleep = sleep

    @property
    def target(self) -> str:
        """The spreadsheet's address for people."""
        return f"https://docs.google.com/spreadsheets/d/{self._id}"

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the spreadsheet to hold `tables`. After a DeliveryError it holds the old or the new ones."""
        sent = self._persist(lambda http: self._deliver(http, tables))
        days = f"{len(tables.daily.rows):,} days"
        return Delivery(
            self.name, True, self.target, f"{days} written" if sent else f"{days}, already up to date"
        )

    def check(self) -> str:
        """Prove that the spreadsheet can be written, changing nothing.

        A search-and-replace for a text that nobody has written needs the right to edit, and finds nothing to
        replace.
        """
        sheets = self._persist(self._check)
        locked = [title for title, sheet in sheets.items() if sheet.locked and title in _TITLES]
        if locked:
            raise DeliveryError(
                f"{self.target}: the worksheet '{locked[0]}' is protected against {self._robot()}. "
                "Let it edit, or remove the protection"
            )
        return f"{self.target} can be written"

    def _check(self, http: SheetsHttp) -> dict[str, Sheet]:
        sheets = read_sheets(http.spreadsheets_get(self._id, {"fields": FIELDS}))
        nothing = {"find": uuid.uuid4().hex, "replacement": "", "matchEntireCell": True, "allSheets": True}
        http.batch_update(self._id, {"requests": [{"findReplace": nothing}]})
        return sheets

    def _deliver(self, http: SheetsHttp, tables: Tables) -> bool:
        sheets = read_sheets(http.spreadsheets_get(self._id, {"fields": FIELDS}))
        found = self._read(http, tables, sheets)
        room, sheets = sizing(tuple(tables), sheets)
        if room:
            http.batch_update(self._id, {"requests": room})
        data = [write for table in tables if (write := values(table, found.get(table.title, ())))]
        if data:
            http.values_batch_update(self._id, {"valueInputOption": "RAW", "data": data})
        dress = [request for table in tables for request in look(table, sheets[table.title])]
        if dress:
            http.batch_update(self._id, {"requests": dress})
        return bool(room or data or dress)

    def _read(self, http: SheetsHttp, tables: Tables, sheets: dict[str, Sheet]) -> dict[str, Any]:
        """The values in the tables' columns, by title, days and times as serial numbers."""
        there = [table for table in tables if table.title in sheets]
        if not there:
            return {}
        how: dict[str, Any] = {
            "valueRenderOption": "UNFORMATTED_VALUE",
            "dateTimeRenderOption": "SERIAL_NUMBER",
        }
        answer = http.values_batch_get(
            self._id, [own_range(table, columns=sheets[table.title].columns) for table in there], how
        )
        ranges = answer.get("valueRanges", [])
        return {table.title: got.get("values", []) for table, got in zip(there, ranges, strict=True)}

    def _persist(self, act: Callable[[SheetsHttp], _T]) -> _T:
        """Do `act`, again while Google asks for patience, until the deadline."""
        deadline = time.monotonic() + self._seconds
        http = SheetsHttp(read_credentials(self._credentials_file), self._api_url, self._timeout, deadline)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, RequestFailed) and error.again),
            stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_before_delay(self._seconds),
            wait=_wait,
            sleep=self._sleep,
            before_sleep=_tell,
            reraise=True,
        )
        failure: RequestFailed
        try:
            return retrying(act, http)
        except RequestFailed as caught:
            failure = caught
        finally:
            http.session.close()
        raise DeliveryError(self._advice(failure))

    def _advice(self, failure: RequestFailed) -> str:
        told = f"{self.target}: {failure}"
        if failure.status in {403, 404}:
            return f"{told}. Share the spreadsheet with {self._robot()} as an editor; is its id right?"
        if failure.again:
            return (
                f"{told}. Tried again until the patience was over; the next run or `make deliver` repeats it"
            )
        if failure.status is None:
            return f"{told}. See whether {self._credentials_file} is still a valid key of {self._robot()}"
        return told

    def _robot(self) -> str:
        return str(read_credentials(self._credentials_file).service_account_email)


_TITLES = ("Daily metrics", "Data quality", "About")


def spreadsheet_id(text: str) -> str:
    """The id in a spreadsheet's address, or the id itself. Raises DeliveryError for anything else."""
    address = re.search(r"/spreadsheets/(?:u/\d+/)?d/([\w-]+)", text, re.ASCII)
    found = address.group(1) if address else text.strip()
    if re.fullmatch(r"[\w-]+", found, re.ASCII):
        return found
    raise DeliveryError("GOOGLE_SPREADSHEET is neither a spreadsheet's id nor its address")


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RequestFailed) else None
    return max(_JITTERED(state), asked or 0)


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("Google spreadsheet: %s; again in %.0f s", error, state.upcoming_sleep)

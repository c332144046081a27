"""The Google spreadsheet: read what is there, make room, write the values at once, then format.

Each step is derived from what was just read, so after a lost answer the whole sequence simply runs
again: what was done already is not done twice. The values of all worksheets travel in a single
request; a reader sees the old tables or the new ones.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import TITLES
from orchestration.deliver.retry import with_retries
from orchestration.deliver.sheet.google_http import RequestFailed, SpreadsheetApi, read_credentials
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
from orchestration.settings import GoogleSettings
from orchestration.summary import Delivery

T = TypeVar("T")


class GoogleSheet:
    """The spreadsheet of the settings, written as their service account.

    `timeout` bounds a request, `deadline` the whole delivery with its retries, both in seconds;
    `sleep` is what waits between retries.
    """

    name = "Google spreadsheet"

    def __init__(
        self,
        google: GoogleSettings,
        *,
        timeout: float = 60,
        deadline: float = 300,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._google = google
        self._timeout, self._deadline, self._sleep = timeout, deadline, sleep

    @property
    def target(self) -> str:
        """The spreadsheet's address for people."""
        return f"https://docs.google.com/spreadsheets/d/{self._google.spreadsheet}"

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the spreadsheet to hold `tables`. After a DeliveryError it holds the old or the new ones."""
        written = self._with_retries(lambda api: _deliver(api, tables))
        days = f"{len(tables.daily.rows):,} days"
        return Delivery(
            self.name, True, self.target, f"{days} written" if written else f"{days}, already up to date"
        )

    def check(self) -> str:
        """Prove that the spreadsheet can be written, changing nothing. Raises DeliveryError."""
        sheets = self._with_retries(_check)
        locked = [title for title, sheet in sheets.items() if sheet.locked and title in TITLES]
        if locked:
            raise DeliveryError(
                f"{self.target}: the worksheet '{locked[0]}' is protected against {self._robot()}. "
                "Let it edit, or remove the protection"
            )
        return f"{self.target} can be written"

    def _with_retries(self, act: Callable[[SpreadsheetApi], T]) -> T:
        api = SpreadsheetApi(self._google, self._timeout, time.monotonic() + self._deadline)
        try:
            return with_retries(self.name, lambda: act(api), self._deadline, self._sleep)
        except RequestFailed as caught:
            failure = caught
        finally:
            api.close()
        raise DeliveryError(f"{self.target}: {failure}{self._advice(failure)}")

    def _advice(self, failure: RequestFailed) -> str:
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
    """The worksheets; raises RequestFailed without the right to edit.

    A search-and-replace for a text that nobody has written needs that right, and replaces nothing.
    """
    sheets = read_sheets(api.get("", fields=FIELDS))
    nothing = {"find": uuid.uuid4().hex, "replacement": "", "matchEntireCell": True, "allSheets": True}
    api.post(":batchUpdate", requests=[{"findReplace": nothing}])
    return sheets


def _deliver(api: SpreadsheetApi, tables: Tables) -> bool:
    """Bring the spreadsheet to hold `tables`; returns whether anything had to change."""
    sheets = read_sheets(api.get("", fields=FIELDS))
    found = _read(api, tables, sheets)
    room, sheets = sizing(tuple(tables), sheets)
    if room:
        api.post(":batchUpdate", requests=room)
    data = [write for table in tables if (write := values(table, found.get(table.title, ())))]
    if data:
        api.post("/values:batchUpdate", valueInputOption="RAW", data=data)
    formats = [request for table in tables for request in look(table, sheets[table.title])]
    if formats:
        api.post(":batchUpdate", requests=formats)
    return bool(room or data or formats)


def _read(api: SpreadsheetApi, tables: Tables, sheets: dict[str, Sheet]) -> dict[str, Any]:
    """The values in the tables' columns, by title, days and times as serial numbers."""
    present = [table for table in tables if table.title in sheets]
    if not present:
        return {}
    answer = api.get(
        "/values:batchGet",
        ranges=[own_range(table, columns=sheets[table.title].columns) for table in present],
        valueRenderOption="UNFORMATTED_VALUE",
        dateTimeRenderOption="SERIAL_NUMBER",
    )
    ranges = answer.get("valueRanges", [])
    return {table.title: got.get("values", []) for table, got in zip(present, ranges, strict=True)}

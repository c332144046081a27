"""The Google spreadsheet when requests fail, and the check that changes nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import DAILY
from orchestration.deliver.figures import Figures
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.settings import GoogleSettings
from orchestration.summary import RunSummary
from tests.orchestration.deliver.conftest import ROBOT, TITLES, make_days
from tests.orchestration.deliver.google_emulator import Google

DAILY_COLUMNS = DAILY.names
WIDTH = len(DAILY_COLUMNS)


def serial(day: date) -> int:
    return (day - date(1899, 12, 30)).days


def status(code: int, headers: dict[str, str] | None = None, applied: bool = False) -> Any:
    """A fault: this status instead of the answer; with `applied`, after the request took effect."""

    def fault(handler: Any, answer: Any) -> None:
        if applied:
            real, handler.reply = handler.reply, lambda *_: None
            answer()
            handler.reply = real
        handler.reply(code, {"error": {"code": code, "message": "no luck", "status": "X"}}, headers)

    return fault


def cut(handler: BaseHTTPRequestHandler, answer: Any) -> None:
    """A fault: the connection is closed without an answer."""
    handler.close_connection = True


def cut_after(handler: Any, answer: Any) -> None:
    """A fault: the request takes effect, its answer gets lost."""
    handler.reply = lambda *_: None
    answer()
    handler.close_connection = True


def garbled(handler: Any, answer: Any) -> None:
    """A fault: an answer that is no JSON."""
    handler.send_response(200)
    handler.send_header("Content-Length", "6")
    handler.end_headers()
    handler.wfile.write(b"<html>")


ALL_FAULTS = [status(429), status(500), status(503), status(503, applied=True), cut, cut_after, garbled]


@pytest.mark.parametrize("fault", ALL_FAULTS, ids=["429", "500", "503", "503 applied", "cut", "lost answer", "garbled"])
@pytest.mark.parametrize("at", range(1, 4))
def test_a_fault_at_any_request_is_overcome(
    google: Google, sheet: GoogleSheet, tables: Tables, at: int, fault: Any
) -> None:
    google.faults[at] = fault
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    assert len(daily.values(WIDTH)) == 61
    assert len(daily.rules) == 1
    assert len(google.sheet("Summary").charts) == 2
    assert [found.title for found in google.sheets] == [*TITLES, "Sheet1"]


@pytest.mark.parametrize("fault", [status(503), cut], ids=["503", "cut"])
def test_a_stumbling_token_endpoint_is_overcome(google: Google, sheet: GoogleSheet, tables: Tables, fault: Any) -> None:
    google.faults[0] = fault
    assert sheet.deliver(tables).ok


@pytest.mark.parametrize("fault", [status(400), status(503), cut, cut_after], ids=["400", "503", "cut", "lost answer"])
@pytest.mark.parametrize("at", range(1, 5))
def test_whatever_fails_a_reader_sees_the_old_or_the_new_table(
    google: Google,
    sheet: GoogleSheet,
    figures: Figures,
    summary: RunSummary,
    tables: Tables,
    at: int,
    fault: Any,
) -> None:
    sheet.deliver(tables)
    grown = build_tables(replace(figures, days=make_days(1_200)), summary, "docs", ENGLISH)
    old = google.sheet("Daily metrics").values(WIDTH)
    days = [[serial(row[0]), *_blank(row[1:])] for row in grown.daily.rows]  # type: ignore[arg-type]
    new = [list(grown.daily.header), *days]
    seen: list[list[list[Any]]] = []
    google.seen = lambda: seen.append(google.sheet("Daily metrics").values(WIDTH))
    first = len(google.requests)
    google.faults.update(dict.fromkeys(range(first + at, first + at + 100), fault))
    with pytest.raises(DeliveryError):
        sheet.deliver(grown)
    assert all(values in (old, new) for values in seen)
    assert google.sheet("Daily metrics").values(WIDTH) in (old, new)
    google.faults.clear()
    sheet.deliver(grown)
    assert google.sheet("Daily metrics").values(WIDTH) == new
    assert len(google.sheet("Summary").charts) == 2


def _blank(cells: Any) -> list[Any]:
    return ["" if cell is None else cell for cell in cells]


def test_retry_after_is_heeded(google: Google, sheet: GoogleSheet, tables: Tables, waits: list[float]) -> None:
    google.faults[1] = status(429, {"Retry-After": "17"})
    sheet.deliver(tables)
    assert waits[0] >= 17


def test_a_wait_beyond_the_deadline_is_not_waited(
    google: Google, sheet: GoogleSheet, tables: Tables, waits: list[float]
) -> None:
    google.faults[1] = status(429, {"Retry-After": "3600"})
    with pytest.raises(DeliveryError, match="429"):
        sheet.deliver(tables)
    assert waits == []


def test_repeats_are_bounded(google: Google, sheet: GoogleSheet, tables: Tables, waits: list[float]) -> None:
    google.faults.update(dict.fromkeys(range(1, 100), status(503)))
    with pytest.raises(DeliveryError, match="503.*next run"):
        sheet.deliver(tables)
    assert len(waits) < 10
    assert len(set(waits)) > 1


@pytest.mark.parametrize("code", [400, 403, 404])
def test_a_refusal_for_good_is_not_repeated(
    google: Google, sheet: GoogleSheet, tables: Tables, waits: list[float], code: int
) -> None:
    google.faults[3] = status(code)
    with pytest.raises(DeliveryError, match=f"{code}: no luck"):
        sheet.deliver(tables)
    assert waits == []
    assert len(google.requests) == 4


def test_no_permission_says_whom_to_share_with(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    google.editor = False
    with pytest.raises(DeliveryError, match=f"Share the spreadsheet with {ROBOT}") as caught:
        sheet.deliver(tables)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_an_unknown_spreadsheet_says_whom_to_share_with(google: Google, credentials: Path, tables: Tables) -> None:
    with pytest.raises(DeliveryError, match=f"404.*{ROBOT}"):
        GoogleSheet(GoogleSettings(credentials, "another-id", google.url, "")).deliver(tables)


def test_a_refused_token_names_the_key_file_and_no_secret(
    google: Google, sheet: GoogleSheet, tables: Tables, credentials: Path, private_key: str
) -> None:
    def refuse(handler: Any, answer: Any) -> None:
        handler.reply(400, {"error": "invalid_grant", "error_description": private_key})

    google.faults[0] = refuse
    with pytest.raises(DeliveryError, match="invalid_grant") as caught:
        sheet.deliver(tables)
    assert str(credentials) in str(caught.value)
    assert private_key.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", '{"private_key": "SECRET-KEY", "client_email": "a"}'])
def test_an_unusable_key_file_is_named_and_not_shown(
    google: Google, tables: Tables, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(DeliveryError, match="GOOGLE_CREDENTIALS_FILE .*broken.json") as caught:
        GoogleSheet(GoogleSettings(path, google.spreadsheet, google.url, "")).deliver(tables)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__context__ is None
    assert google.requests == []


def test_only_the_spreadsheets_scope_is_asked_for(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    assertion = parse_qs(google.bodies[0].decode())["assertion"][0].split(".")[1]
    claims = json.loads(urlsafe_b64decode(assertion + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/spreadsheets"


def test_check_passes_and_changes_nothing(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    before = [(found.title, dict(found.cells), found.rows) for found in google.sheets]
    assert "can be written" in sheet.check()
    assert [(found.title, dict(found.cells), found.rows) for found in google.sheets] == before


def test_check_finds_out_a_reader(google: Google, sheet: GoogleSheet) -> None:
    google.editor = False
    with pytest.raises(DeliveryError, match=f"403.*{ROBOT}"):
        sheet.check()


def test_check_finds_a_protected_worksheet(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").protected = [{"requestingUserCanEdit": False}]
    with pytest.raises(DeliveryError, match="'Daily metrics' is protected"):
        sheet.check()

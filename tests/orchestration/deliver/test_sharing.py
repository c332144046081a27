"""Single learners and who can read the Google spreadsheet: refused unless it is known to be private."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.deliver.figures import Figures
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.sharing import Openness, openness
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.settings import GoogleSettings
from orchestration.summary import RunSummary
from tests.orchestration.deliver.conftest import LEARNER, TITLES
from tests.orchestration.deliver.google_emulator import Google

SIGN_IN = "https://accounts.google.com/ServiceLogin?continue=https://docs.google.com/"
CONTENT = "https://doc-00-sheets.googleusercontent.com/export/1AbC?format=csv"


@pytest.fixture
def sharing(full_figures: Figures, summary: RunSummary) -> Tables:
    return build_tables(full_figures, summary, "docs", ENGLISH, share_learners=True)


def everything(google: Google) -> str:
    return str([sheet.cells for sheet in google.sheets])


@pytest.mark.parametrize(
    "answer", [(401, ""), (403, ""), (404, ""), (302, SIGN_IN), (307, SIGN_IN), (302, "/ServiceLogin?passive=true")]
)
def test_a_private_spreadsheet_gets_them(
    google: Google, sheet: GoogleSheet, sharing: Tables, answer: tuple[int, str]
) -> None:
    google.to_strangers = answer
    assert sheet.deliver(sharing).ok
    assert LEARNER in everything(google)
    asked = [request for request in google.requests if "/export" in request]
    assert asked == [f"GET /spreadsheets/d/{google.spreadsheet}/export"]


@pytest.mark.parametrize(
    "answer",
    [
        (200, ""),
        (204, ""),
        (302, CONTENT),
        (307, CONTENT),
        (302, ""),
        (302, "https://evil.example/?to=accounts.google.com"),
        (302, "https://accounts.google.com.evil.example/x"),
        (400, ""),
        (410, ""),
    ],
)
def test_one_that_strangers_can_read_gets_all_but_them(
    google: Google, sheet: GoogleSheet, sharing: Tables, answer: tuple[int, str]
) -> None:
    google.to_strangers = answer
    delivery = sheet.deliver(sharing)
    assert not delivery.ok
    assert "60 days written; 'Learners to help' was not written: anyone with the link can read" in delivery.detail
    assert LEARNER not in everything(google)
    assert [found.title for found in google.sheets] == [*TITLES, "Sheet1"]


def test_one_that_was_opened_later_loses_them(google: Google, sheet: GoogleSheet, sharing: Tables) -> None:
    sheet.deliver(sharing)
    assert LEARNER in everything(google)
    google.to_strangers = (200, "")
    assert not sheet.deliver(sharing).ok
    assert LEARNER not in everything(google)
    google.to_strangers = (302, SIGN_IN)
    assert sheet.deliver(sharing).ok
    assert LEARNER in everything(google)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_no_clear_answer_is_asked_again_and_counts_as_open(
    google: Google, sheet: GoogleSheet, sharing: Tables, waits: list[float], status: int
) -> None:
    google.to_strangers = (status, "")
    delivery = sheet.deliver(sharing)
    assert not delivery.ok
    assert "could not be found out" in delivery.detail
    assert len(waits) == 2
    assert LEARNER not in everything(google)


def test_nobody_answering_counts_as_open(closed_port: int) -> None:
    nowhere = f"http://127.0.0.1:{closed_port}"
    google = GoogleSettings(Path("key.json"), "1AbC", nowhere, private_key="")
    assert openness(google, 0.2, lambda _: None) is Openness.UNKNOWN


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_stranger_sends_no_password_of_netrc(
    google: Google, credentials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    settings = GoogleSettings(credentials, google.spreadsheet, google.url, private_key="")
    assert openness(settings, 2) is Openness.PRIVATE, "the emulator gives one who shows credentials no answer"


def test_nothing_is_asked_when_they_are_not_wanted(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    assert not [request for request in google.requests if "/export" in request]


def test_a_preview_leaves_them_out_as_well(google: Google, sheet: GoogleSheet, sharing: Tables) -> None:
    google.to_strangers = (200, "")
    assert "Learners to help" not in [change.title for change in sheet.preview(sharing)]
    google.to_strangers = (401, "")
    assert "Learners to help" in [change.title for change in sheet.preview(sharing)]


def test_without_another_address_google_itself_is_asked(
    google: Google, monkeypatch: pytest.MonkeyPatch, credentials: Path
) -> None:
    asked: list[str] = []

    def get(url: str, **_: Any) -> Any:
        asked.append(url)
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestration.deliver.sheet.sharing.requests.get", get)
    settings = replace(GoogleSettings(credentials, "1AbC", google.url, ""), api_url=None)
    with pytest.raises(KeyboardInterrupt):
        openness(settings, 1)
    assert asked == ["https://docs.google.com/spreadsheets/d/1AbC/export?format=csv"]

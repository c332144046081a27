"""`make report`: the page written from the marts, and opened when that is wanted."""

from __future__ import annotations

import webbrowser
from typing import Any

import pytest

from orchestration.commands.report import report
from orchestration.deliver import DeliveryError
from orchestration.settings import Settings
from tests.orchestration.conftest import Parties


@pytest.fixture
def opened(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to open."""
    addresses: list[str] = []

    def read_figures(*_: Any) -> Any:
        return parties.figures

    def open_address(address: str) -> bool:
        addresses.append(address)
        return False

    monkeypatch.setattr("orchestration.commands.report.read_figures", read_figures)
    monkeypatch.setattr(webbrowser, "open", open_address)
    return addresses


def test_the_page_is_written_and_where_it_is_said(
    settings: Settings, parties: Parties, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(settings, open_it=False) == 0
    assert parties.reports == [parties.figures]
    assert capsys.readouterr().out == "report.html: one page written\n"
    assert opened == []


def test_it_is_opened_when_asked_for(settings: Settings, opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert report(settings, open_it=True) == 0
    assert opened == [(settings.out_dir / "report.html").as_uri()]
    assert "open the file yourself" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_a_failed_delivery(
    settings: Settings, parties: Parties, opened: list[str]
) -> None:
    parties.report_error = DeliveryError("cannot write report.html")
    with pytest.raises(DeliveryError) as caught:
        report(settings, open_it=True)
    assert caught.value.exit_code == 3
    assert opened == []

"""`make check`: a line for each party, whatever the others say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ingestion.api import GraderApi
from ingestion.errors import ApiError, WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.commands.check import check, probe_warehouse
from orchestration.deliver import DeliveryError
from orchestration.errors import StageError
from orchestration.settings import Settings
from tests.orchestration.conftest import KEY, NOW, PASSWORD, Parties

WAREHOUSE = Warehouse("db.example", 5432, "grader", "elt", PASSWORD)


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What API and database answer; an exception is raised."""
    found: dict[str, Any] = {"API": [], "Database": [(180_006, "UTF8", True)]}

    def answer(name: str) -> Any:
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    monkeypatch.setattr(GraderApi, "fetch", lambda *_: answer("API"))
    monkeypatch.setattr(Warehouse, "query", lambda *_: answer("Database"))
    return found


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Each party's verdict and words."""
    shown = capsys.readouterr()
    assert shown.err == ""
    parts = [line.split(None, 2) for line in shown.out.splitlines()]
    return {party: (verdict, words) for verdict, party, words in parts}


def test_all_is_well(settings: Settings, parties: Parties, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(settings) == 0
    assert lines(capsys) == {
        "API": ("ok", "https://grader.example/api answers a list in 0.00 s"),
        "Database": ("ok", "elt@db.example:5432/grader: PostgreSQL 18, TLS"),
        "Sheets": ("ok", "Spreadsheet would work"),
        "Report": ("ok", "Report would work"),
        "Mail": ("ok", "Mail would work"),
    }


def test_every_stand_in_is_named(demo: Settings, parties: Parties, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(demo) == 0
    found = lines(capsys)
    assert "built-in demo API stands in, with made-up data (set API_URL" in found["API"][1]
    assert found["Database"][1].startswith("not configured: the embedded PostgreSQL stands in (not started")


@pytest.mark.parametrize("failing", ["API", "Database", "Sheets", "Report", "Mail"])
def test_a_failing_party_does_not_hide_the_others(
    settings: Settings,
    parties: Parties,
    answers: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    failing: str,
) -> None:
    answers["API"] = ApiError("status 403", 403, Window(NOW, NOW + timedelta(seconds=1))) if failing == "API" else []
    if failing == "Database":
        answers["Database"] = WarehouseError("The warehouse failed: refused")
    parties.sheet_error = DeliveryError("Google answered 403") if failing == "Sheets" else None
    parties.report_error = DeliveryError("cannot write out") if failing == "Report" else None
    parties.mail_error = DeliveryError("535 wrong password") if failing == "Mail" else None
    assert check(settings) == 1
    found = lines(capsys)
    assert {party for party, (verdict, _) in found.items() if verdict == "FAILED"} == {failing}
    assert len(found) == 5
    assert not any(secret in str(found) for secret in (KEY, PASSWORD))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((140_012, "UTF8", False), "is PostgreSQL 14; 15 or newer is needed"),
        ((150_000, "LATIN1", False), "has the encoding LATIN1; create the database with UTF8"),
    ],
)
def test_a_server_that_cannot_be_the_warehouse(answers: dict[str, Any], answer: tuple[Any, ...], problem: str) -> None:
    answers["Database"] = [answer]
    with pytest.raises(StageError, match=problem) as caught:
        probe_warehouse(WAREHOUSE)
    assert WAREHOUSE.label in str(caught.value)


def test_the_oldest_server_without_tls(answers: dict[str, Any]) -> None:
    answers["Database"] = [(150_000, "UTF8", False)]
    assert probe_warehouse(WAREHOUSE).endswith("PostgreSQL 15, no TLS")

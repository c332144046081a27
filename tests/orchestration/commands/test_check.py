"""`make check`: a line for each party, whatever the others say."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingestion.api import Answer, Api, GraderApi
from ingestion.errors import ApiError, WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration import wiring
from orchestration.commands.check import check, probe_warehouse
from orchestration.deliver import DeliveryError
from orchestration.errors import StageError
from orchestration.settings import Settings
from tests.orchestration.conftest import KEY, NOW, PASSWORD, Parties
from tests.orchestration.deliver.conftest import MOSCOW

WAREHOUSE = Warehouse("db.example", 5432, "grader", "elt", PASSWORD)


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What API and database answer; an exception is raised."""
    found: dict[str, Any] = {"API": [], "Database": [(180_006, "UTF8", True)]}

    def answer(name: str) -> Any:
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    def fetch(_: GraderApi, window: Window) -> Any:
        found.setdefault("windows", []).append(window)
        return answer("API")

    monkeypatch.setattr(GraderApi, "fetch", fetch)
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


@dataclass
class FakeRecords:
    texts: list[bytes]


def answered(*counts: int) -> list[Answer]:
    """Answers with so many records each."""
    window = Window(NOW, NOW + timedelta(hours=1))
    return [Answer(window, FakeRecords([b"{}"] * count), NOW, 100, 0.25) for count in counts]  # type: ignore[arg-type]


def test_yesterday_is_counted_when_asked_for(
    settings: Settings, parties: Parties, answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answers["API"] = answered(1_000, 234)
    before = datetime.now(MOSCOW).date()
    assert check(settings, send=True) == 0
    verdict, words = lines(capsys)["API"]
    assert verdict == "ok"
    assert words.startswith("https://grader.example/api: 1,234 records of yesterday, ")
    assert words.endswith(" (Europe/Moscow), in 0.50 s")
    (asked,) = answers["windows"]
    midnight = asked.end.astimezone(MOSCOW)
    assert (midnight.hour, midnight.minute, asked.length) == (0, 0, timedelta(days=1))
    assert before <= midnight.date() <= datetime.now(MOSCOW).date()


def test_a_yesterday_without_records_is_said_in_words(
    settings: Settings, parties: Parties, answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answers["API"] = answered(0)
    assert check(settings, send=True) == 0
    assert "it answers, but has no records of yesterday" in lines(capsys)["API"][1]


@pytest.mark.parametrize(
    ("language", "subject"), [("en", "Test: mail of the grader's figures"), ("ru", "Проверка: письма с показателями")]
)
def test_a_test_mail_goes_to_the_readers_and_apart_from_it_to_the_engineers(
    settings: Settings, parties: Parties, capsys: pytest.CaptureFixture[str], language: str, subject: str
) -> None:
    settings = replace(settings, alert_to=("ops@school.example",), report_language=language)
    assert check(settings, send=True) == 0
    assert "to ALERT_TO: sent" in lines(capsys)["Mail"][1]
    (mail,), ((alert, recipients),) = parties.mails, parties.alerts
    assert mail["Subject"].startswith(subject)
    assert alert["Subject"] == mail["Subject"]
    assert recipients == ("ops@school.example",)
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_test_mail_that_is_refused(settings: Settings, parties: Parties, capsys: pytest.CaptureFixture[str]) -> None:
    parties.mail_error = DeliveryError("535 wrong password")
    assert check(settings, send=True) == 1
    assert lines(capsys)["Mail"] == ("FAILED", "535 wrong password")
    assert parties.mails == []


def test_nothing_is_sent_without_being_asked_for(settings: Settings, parties: Parties) -> None:
    assert check(settings) == 0
    assert parties.mails == []


def test_a_test_mail_of_the_stand_in_is_a_file_in_its_folder(
    demo: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def open_api(_: Settings) -> Iterator[Api]:
        yield Api("http://127.0.0.1:1", "demo", KEY)

    monkeypatch.setattr(wiring, "open_api", open_api)
    assert check(demo, send=True) == 0
    found = lines(capsys)
    (path,) = (demo.out_dir / "mail").iterdir()
    assert found["Mail"] == ("ok", f"test mail written to a file (no mail server is configured): {path}")
    assert "made-up data" in found["API"][1]
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body()
    assert body is not None
    assert "Nothing needs to be done" in " ".join(body.get_content().split())

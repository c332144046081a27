"""Which parties a run gets: those of the settings, or the embedded ones; whose errors are clean."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedded import demo_api, postgres
from ingestion.warehouse import Warehouse
from orchestration import wiring
from orchestration.commands import local
from orchestration.deliver.mail.outbox import Outbox
from orchestration.deliver.mail.smtp import SmtpServer
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.workbook import Workbook
from orchestration.errors import StageError
from orchestration.settings import ROOT, Settings, read_settings
from tests.orchestration.conftest import KEY


def refuse(*_: Any, **__: Any) -> Any:
    raise postgres.EmbeddedPostgresError("No PostgreSQL programs. Set POSTGRES_HOST.")


def test_a_configured_database_is_taken_and_nothing_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "start", refuse)
    assert wiring.open_warehouse(settings) == settings.warehouse


def test_made_up_data_has_a_database_of_its_own(
    settings: Settings, demo: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Path, str]] = []

    def start(state_dir: Path, database: str) -> Warehouse:
        started.append((state_dir, database))
        return Warehouse("/run", 5432, database, "grader")

    monkeypatch.setattr(postgres, "start", start)
    assert wiring.open_warehouse(demo).dbname == "demo"
    assert wiring.open_warehouse(replace(settings, warehouse=None)).dbname == "grader"
    assert started == [(demo.state_dir, "demo"), (settings.state_dir, "grader")]


@pytest.mark.parametrize(
    ("function", "act"),
    [
        ("start", wiring.open_warehouse),
        ("find", wiring.embedded_state),
        ("stop", local.stop_database),
        ("psql_binary", lambda demo: local.psql(demo, [])),
    ],
)
def test_errors_of_the_embedded_database_are_clean(
    demo: Settings, monkeypatch: pytest.MonkeyPatch, function: str, act: Any
) -> None:
    monkeypatch.setattr(postgres, "start", lambda *_, **__: Warehouse("/run", 5432, "demo", "grader"))
    monkeypatch.setattr(postgres, function, refuse)
    with pytest.raises(StageError, match=r"No PostgreSQL programs\. Set POSTGRES_HOST\.") as caught:
        act(demo)
    assert caught.value.exit_code == 1
    assert caught.value.__suppress_context__


def test_the_state_of_the_embedded_database_in_words(demo: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wiring.embedded_state(demo) == "not started, `make db` does it"
    running = Warehouse("/run", 5432, "demo", "grader")
    monkeypatch.setattr(postgres, "find", lambda *_, **__: running)
    assert wiring.embedded_state(demo) == "ready, grader@/run:5432/demo"


def test_a_demo_api_that_does_not_start(demo: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def running() -> Iterator[Any]:
        raise demo_api.DemoApiError("The demo API did not answer within a minute.")
        yield

    monkeypatch.setattr(demo_api, "running", running)
    with pytest.raises(StageError, match="did not answer within a minute"), wiring.open_api(demo):
        pytest.fail("no API")


def test_an_error_beside_the_demo_api_stays_what_it_is(demo: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def running() -> Iterator[Any]:
        yield demo_api.DemoApi("http://127.0.0.1:1/", "demo", "made-up")

    monkeypatch.setattr(demo_api, "running", running)
    with pytest.raises(ZeroDivisionError), wiring.open_api(demo):
        raise ZeroDivisionError


def test_a_configured_api_is_asked_itself(settings: Settings) -> None:
    with wiring.open_api(settings) as api:
        assert "grader.example" in api.label
        assert KEY not in api.label


def test_deliveries_go_to_files_unless_others_are_configured(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    assert isinstance(wiring.table_sender(settings), Workbook)
    assert isinstance(wiring.message_sender(settings), Outbox)
    assert wiring.table_sender(settings).target == str(settings.out_dir / "metrics.xlsx")
    fields = ("client_email", "private_key", "token_uri")
    account = {"type": "service_account", **dict.fromkeys(fields, "made up")}
    (tmp_path / "robot.json").write_text(json.dumps(account))
    outside = read_settings(
        {
            **environment,
            "GOOGLE_CREDENTIALS_FILE": str(tmp_path / "robot.json"),
            "GOOGLE_SPREADSHEET": "1AbC",
            "SMTP_HOST": "mail.example",
            "EMAIL_FROM": "elt@school.example",
            "EMAIL_TO": "boss@school.example",
        },
        tmp_path / ".env",
    )
    sheet, mail = wiring.table_sender(outside), wiring.message_sender(outside)
    assert isinstance(sheet, GoogleSheet)
    assert isinstance(mail, SmtpServer)
    assert sheet.target == wiring.links(outside).sheet == "https://docs.google.com/spreadsheets/d/1AbC"
    assert mail.target == "boss@school.example"


def test_links_name_only_what_is_there(settings: Settings) -> None:
    assert (wiring.links(settings).sheet, wiring.links(settings).docs) == (None, None)
    settings.out_dir.mkdir()
    for name in ("metrics.xlsx", "docs.html"):
        (settings.out_dir / name).write_text("")
    links = wiring.links(settings)
    assert (links.sheet, links.docs) == (
        str(settings.out_dir / "metrics.xlsx"),
        str(settings.out_dir / "docs.html"),
    )


def test_production_never_loads_a_stand_in() -> None:
    loaded = "import sys, orchestration.__main__; print([n for n in sys.modules if n.startswith('embedded')])"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""Figures and runs to deliver: plausible days, made without any chance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestration.deliver.figures import Day, Figures, Receipt
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.settings import GoogleSettings
from orchestration.summary import LoadCounts, RunSummary, Stage, TestCounts
from tests.orchestration.deliver.google_emulator import Google
from tests.orchestration.deliver.google_server import emulated_google

ROBOT = "robot@project.iam.gserviceaccount.com"
MOSCOW = ZoneInfo("Europe/Moscow")
LAST_DAY = date(2026, 11, 21)


def make_day(day: date) -> Day:
    """A day with a weekly rhythm; a Sunday in the past had no attempt at all."""
    if day == date(2026, 10, 25):
        return Day(day, {**dict.fromkeys(make_day(LAST_DAY).values, 0), **_NO_RATIOS})
    wave = 1 + 0.35 * math.sin(day.toordinal() / 3.0) - (0.35 if day.weekday() >= 5 else 0)
    attempts = round(1_450 * wave)
    submits, users = round(attempts * 0.62), round(attempts * 0.21)
    correct = round(submits * (0.48 + 0.1 * math.sin(day.toordinal())))
    return Day(
        day,
        {
            "attempts": attempts,
            "runs": attempts - submits,
            "submits": submits,
            "correct_submits": correct,
            "success_rate": correct / (submits - 3),
            "unique_users": users,
            "attempts_per_user": attempts / users,
            "users_without_correct": round(users * 0.23),
            "avg_attempts_to_first_correct": 2 + wave,
            "new_users": round(users * 0.04),
            "unique_users_7d": users * 3,
            "unique_users_30d": users * 6,
        },
    )


_NO_RATIOS = {"success_rate": None, "attempts_per_user": None, "avg_attempts_to_first_correct": None}


def make_days(count: int, last: date = LAST_DAY) -> tuple[Day, ...]:
    """`count` days that end with `last`."""
    return tuple(make_day(last - timedelta(days=back)) for back in reversed(range(count)))


def make_receipts(count: int) -> tuple[Receipt, ...]:
    """One load a day at 06:00 in Moscow, the newest on the morning after the last day."""
    newest = datetime(2026, 11, 22, 6, 0, 3, tzinfo=MOSCOW)
    reasons = {"is_correct_invalid": 7, "passback_params_invalid": 4, '=HYPERLINK("http://evil")': 1}
    return tuple(
        Receipt(
            f"17637{number:05}.25",
            newest - timedelta(days=number),
            LoadCounts(2_430, 2_207, 211, 12, reasons),
        )
        for number in range(count)
    )


@pytest.fixture
def figures() -> Figures:
    """Sixty days and five loads."""
    return Figures(MOSCOW, make_days(60), make_receipts(5), as_of_day=LAST_DAY)


@pytest.fixture
def summary() -> RunSummary:
    """A run that went well, of the demo API."""
    started = datetime(2026, 11, 22, 3, 0, 0, tzinfo=timezone.utc)
    return RunSummary(
        run_id="20261122T030000Z-7f3a",
        command="run",
        started_at=started,
        demo=True,
        finished_at=started + timedelta(seconds=21),
        stages=[
            Stage("ingest", "done", 3.4, "2,430 records in 1 answer"),
            Stage("build", "done", 8.1, "6 models, 41 tests passed"),
        ],
        loads=LoadCounts(2_430, 2_207, 211, 12, {"is_correct_invalid": 8, "passback_params_invalid": 4}),
        tests=TestCounts(41, 0, 0, 0),
        log_file="logs/2026-11-22.log",
    )


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def google() -> Iterator[Google]:
    with emulated_google(Google()) as running:
        yield running


@pytest.fixture
def credentials(google: Google, tmp_path: Path, private_key: str) -> Path:
    path = tmp_path / "robot.json"
    account = {
        "type": "service_account",
        "client_email": ROBOT,
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": f"{google.url}/token",
    }
    path.write_text(json.dumps(account))
    return path


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def sheet(google: Google, credentials: Path, waits: list[float]) -> GoogleSheet:
    settings = GoogleSettings(credentials, google.spreadsheet, google.url, private_key="")
    return GoogleSheet(settings, timeout=2, deadline=40, sleep=waits.append)


@pytest.fixture
def tables(figures: Figures, summary: RunSummary) -> Tables:
    return build_tables(figures, summary, "https://docs.example/", ENGLISH)

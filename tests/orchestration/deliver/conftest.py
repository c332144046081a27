"""Figures and runs to deliver: plausible days, made without any chance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestration.deliver.columns import COURSES, REPAIR, Row
from orchestration.deliver.figures import Day, Figures, Receipt
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.settings import GoogleSettings
from orchestration.summary import DayVerdict, LoadCounts, MetricVerdict, RunSummary, Stage, TestCounts
from tests.orchestration.deliver.google_emulator import Google
from tests.orchestration.deliver.google_server import emulated_google

ROBOT = "robot@project.iam.gserviceaccount.com"
MOSCOW = ZoneInfo("Europe/Moscow")
LAST_DAY = date(2026, 11, 21)
TITLES = (
    *("Summary", "Daily metrics", "Weekly", "Monthly", "Courses", "Tasks to repair", "Changes", "Periods"),
    *("Data quality", "About"),
)
LEARNER = "9f3ae0c1b7d84f0f9f3ae0c1b7d84f0f"


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


def make_course(number: int, **values: Any) -> Row:
    """A row of `marts.courses`; the higher the number, the fewer learners."""
    return {
        **dict.fromkeys((column.name for column in COURSES.columns), 0),
        "course_key": f"course-v1:School+C{number}+2026",
        "title": f"C{number} 2026",
        "learners": 300 - number,
        "learners_active_7d": 100 - number,
        "attempts": 5_000,
        "success_rate": 0.6,
        "first_submit_success": None,
        "learners_stuck": 3,
        "learners_at_risk": 40,
        "first_day": date(2026, 9, 1),
        "last_day": LAST_DAY,
        "is_small": False,
        **values,
    }


def make_task(number: int, **values: Any) -> Row:
    """A row of `marts.tasks` with the course's title; the number is its rank."""
    return {
        **dict.fromkeys((column.name for column in REPAIR.columns), 0),
        "repair_rank": number,
        "task_id": f"{number:032x}",
        "title": f"task {number}",
        "course_title": "C1 2026",
        "learner_hours_lost_28d": 20 / number,
        "learners": 60,
        "success_rate": 0.1,
        "solve_rate": 0.25,
        "first_submit_success": None,
        "submits_to_solve_median": 7,
        "discrimination": None,
        "is_small": False,
        "lms_url": f"https://lms.example/courses/C1/jump_to/{number}",
        **values,
    }


def make_weeks(count: int) -> tuple[Row, ...]:
    """Rows of `marts.weekly_metrics`, the newest first, which is not over yet."""
    newest = date(2026, 11, 16)
    values = dict(make_day(LAST_DAY).values)
    return tuple(
        {**values, "week_start": newest - timedelta(days=7 * back), "is_complete": back > 0} for back in range(count)
    )


@pytest.fixture
def full_figures(figures: Figures) -> Figures:
    """The same with a row or more of everything that worksheets show."""
    asked = datetime(2026, 11, 22, 6, 30, 7, 123456, tzinfo=MOSCOW)
    bands = tuple(
        {"activity_date": LAST_DAY - timedelta(days=back), "metric": metric, "verdict": verdict}
        for back, metric, verdict in (
            (0, "attempts", "normal"),
            (3, "attempts", "unusual_low"),
            (5, "success_rate", "suspect"),
        )
    )
    return replace(
        figures,
        verdict=DayVerdict(
            LAST_DAY,
            "normal",
            (
                MetricVerdict("attempts", "normal", 1_212, 1_200, 900, 1_500),
                MetricVerdict("rejected_share", "no_history", 0.005, None, None, None),
                MetricVerdict("success_rate", "normal", 0.48, 0.5, 0.45, 0.55),
            ),
        ),
        bands=bands,
        incidents=(
            {
                "task_id": f"{1:032x}",
                "title": "task 1",
                "course_title": "C1 2026",
                "kind": "broken",
                "graded_submits": 23,
                "learners": 9,
                "success_rate": 0.087,
                "baseline_graded_submits": 342,
                "baseline_success_rate": 0.617,
                "solved_before_failing_now": 7,
                "lms_url": None,
                "is_small": False,
            },
        ),
        tasks=(
            *(make_task(number, is_small=number == 2) for number in range(1, 8)),
            make_task(8, repair_rank=None, title="cheap task"),
        ),
        courses=(*(make_course(number) for number in range(1, 20)), make_course(20, learners=4, is_small=True)),
        weekly=make_weeks(6),
        monthly=tuple({**row, "month_start": date(2026, 11 - back, 1)} for back, row in enumerate(make_weeks(3))),
        revisions=(
            {
                "activity_date": date(2026, 11, 19),
                "metric": "success_rate",
                "old_value": 0.61234567,
                "new_value": 0.625,
                "revised_at": asked,
            },
        ),
        periods=(
            {
                **make_day(LAST_DAY).values,
                "window_start": datetime(2026, 11, 1, 3, tzinfo=MOSCOW),
                "window_end": datetime(2026, 11, 8, 3, tzinfo=MOSCOW),
                "computed_at": asked,
            },
        ),
        learners=(
            {
                "user_id": LEARNER,
                "course_title": "C1 2026",
                "reasons": ["stuck", "at_risk"],
                "days_silent": 9,
                "tasks_stuck": 1,
                "tasks_unsolved": 2,
                "tasks_solved": 5,
                "graded_submits_7d": 0,
                "success_rate": 0.4,
                "last_day": date(2026, 11, 12),
            },
        ),
    )


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
def tables(full_figures: Figures, summary: RunSummary) -> Tables:
    return build_tables(full_figures, summary, "https://docs.example/", ENGLISH)

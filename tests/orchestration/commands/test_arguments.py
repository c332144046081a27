"""The command line: windows of time, bad usage."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ingestion.windows import Window
from orchestration.commands.arguments import parse, window_of
from orchestration.errors import SettingsError
from orchestration.settings import ROOT

MOSCOW = ZoneInfo("Europe/Moscow")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


def window(start: str, end: str) -> Window | None:
    return window_of(parse(["run", "--start", start, "--end", end]), MOSCOW)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-04-01", utc(2023, 4, 1)),
        (" 2023-04-01 ", utc(2023, 4, 1)),
        ("2023-04-01 12:46", utc(2023, 4, 1, 12, 46)),
        ("2023-04-01 12:46:47", utc(2023, 4, 1, 12, 46, 47)),
        ("2023-04-01 12:46:47.860798", utc(2023, 4, 1, 12, 46, 47, 860798)),
        ("2023-04-01T12:46:47.8", utc(2023, 4, 1, 12, 46, 47, 800000)),
        ("2023-04-01T12:46:47Z", utc(2023, 4, 1, 12, 46, 47)),
        ("2023-04-01 00:30:00.5+03:00", utc(2023, 3, 31, 21, 30, 0, 500000)),
        ("2023-04-01T20:00-05:30", utc(2023, 4, 2, 1, 30)),
        ("0001-01-01", utc(1, 1, 1)),
    ],
)
def test_formats_of_an_instant(text: str, instant: datetime) -> None:
    assert window(text, "2030-01-01") == Window(instant, utc(2030, 1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-4-1",
        "2023-02-29",
        "2023-04-01 24:00:01",
        "2023-04-01 12",
        "2023-04-01 12:46.5",
        "2023-04-01 12:46:47.1234567",
        "2023-04-01 12:46:47,5",
        "20230401",
        "2023-W13-6",
        "2023-04-01+03:00",
        "2023-04-01 12:46:47 UTC",
        "2023-04-01 12:46:47+25:00",
        "٢٠٢٣-04-01",
        "1680307200",
        "0001-01-01 00:00:00+14:00",
    ],
)
@pytest.mark.parametrize("name", ["START", "END"])
def test_what_is_no_instant_is_named(name: str, text: str) -> None:
    bounds = {"START": "2023-04-01", "END": "2023-04-02", name: text}
    with pytest.raises(SettingsError, match=f"^{name} ") as caught:
        window(bounds["START"], bounds["END"])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("end", ["2023-04-01", "2023-03-31", "2023-04-01 02:59:59+03:00"])
def test_the_end_comes_after_the_start(end: str) -> None:
    with pytest.raises(SettingsError, match="END .* should be after START"):
        window("2023-04-01", end)


@pytest.mark.parametrize("given", ["--start", "--end"])
def test_a_window_has_two_ends(given: str) -> None:
    with pytest.raises(SettingsError, match="both START and END"):
        window_of(parse(["run", given, "2023-04-01"]), MOSCOW)


def test_without_a_window_what_is_due_is_meant() -> None:
    assert window_of(parse(["ingest"]), MOSCOW) is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["explode"],
        ["run", "--start", "2023-04-02", "--end", "2023-04-02"],
        ["run", "--start", "2023-04-01"],
        ["ingest", "--start", "soon", "--end", "2023-04-02"],
        ["metrics"],
        ["metrics", "--start", "2023-04-01"],
        ["build", "--start", "2023-04-01", "--end", "2023-04-02"],
        ["run", "--no-such-option"],
        ["run", "--dry-run"],
        ["ingest", "--start", "2023-04-01", "--end", "2023-04-02", "--sheet"],
        ["docs", "--port", "70000"],
        ["docs", "--port", "http"],
        ["schedule", "--at", "24:00"],
        ["restore"],
    ],
)
def test_bad_usage_ends_with_code_2_and_starts_nothing(tmp_path: Path, arguments: list[str]) -> None:
    places = {name: str(tmp_path / name) for name in ("STATE_DIR", "LOG_DIR", "OUT_DIR")}
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", *arguments],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        (["--day", "2026-11-14"], "2026-11-13 21:00", "2026-11-14 21:00"),
        (["--from", "2026-11-01", "--to", "2026-12-01"], "2026-10-31 21:00", "2026-11-30 21:00"),
        (["--start", "2026-11-14", "--end", "2026-11-15"], "2026-11-14 00:00", "2026-11-15 00:00"),
    ],
)
def test_days_of_metrics_are_those_of_the_report_zone(given: list[str], start: str, end: str) -> None:
    window = window_of(parse(["metrics", *given]), MOSCOW)
    assert window is not None
    assert [f"{instant:%Y-%m-%d %H:%M}" for instant in (window.start, window.end)] == [start, end]


def test_a_day_of_23_hours_is_a_day() -> None:
    window = window_of(parse(["metrics", "--day", "2026-03-29"]), ZoneInfo("Europe/Berlin"))
    assert window is not None
    assert window.length == timedelta(hours=23)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "one of DAY, FROM and TO, or START and END"),
        (["--day", "2026-11-14", "--from", "2026-11-14", "--to", "2026-11-15"], "one of DAY, FROM and TO"),
        (["--from", "2026-11-14"], "both FROM and TO"),
        (["--from", "2026-11-14", "--to", "2026-11-14"], "should be after FROM"),
        (["--day", "14.11.2026"], "DAY should be a date like 2026-11-14"),
        (["--day", "2026-11-31"], "DAY should be a date"),
        (["--start", "2026-11-14"], "both START and END"),
        (["--day", "2026-11-14", "--by", "task_id", "--sheet"], "leave out BY"),
    ],
)
def test_days_that_cannot_be_used_are_said(given: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        window_of(parse(["metrics", *given]), MOSCOW)

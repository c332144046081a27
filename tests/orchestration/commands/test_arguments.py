"""The command line: windows of time, bad usage."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ingestion.windows import Window
from orchestration.commands.arguments import parse, window_of
from orchestration.errors import SettingsError
from orchestration.settings import ROOT


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


def window(start: str, end: str) -> Window | None:
    return window_of(parse(["run", "--start", start, "--end", end]))


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
        window_of(parse(["run", given, "2023-04-01"]))


def test_without_a_window_what_is_due_is_meant() -> None:
    assert window_of(parse(["ingest"])) is None


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
        ["docs", "--port", "70000"],
        ["docs", "--port", "http"],
        ["schedule", "--at", "24:00"],
        ["restore"],
        ["restore", "no-such-file.dump"],
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

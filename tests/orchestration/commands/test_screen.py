"""What the terminal shows at the end of a run, and for `make metrics`."""

from __future__ import annotations

import sys
from datetime import datetime, timezone

import pytest

from ingestion.pipeline import Progress
from orchestration.commands.screen import ingest_progress, show_changes, show_metrics, show_summary
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.words import ENGLISH, Words
from orchestration.summary import Delivery, LoadCounts, RunSummary, Stage, TestCounts, TestResult

PROGRESS = Progress(4, 2, 1_234, 600)


@pytest.fixture
def summary() -> RunSummary:
    """A run that went well, of the real API."""
    return RunSummary(
        run_id="7f3a",
        command="run",
        started_at=datetime(2026, 11, 22, 3, tzinfo=timezone.utc),
        demo=False,
        log_file="logs/2026-11-22.log",
        stages=[Stage("ingest", "done", 3.456, "2,430 records in 1 slice and 1 load")],
        loads=LoadCounts(2_430, 2_207, 211, 12, {"is_correct_invalid": 8, "created_at_invalid": 4}),
        tests=TestCounts(40, 1, 0, 0, (TestResult("rejected_share", "warn", 1, "2 % [bold]of[/] them"),)),
        deliveries=[Delivery("Spreadsheet", True, "out/metrics.xlsx", "60 days written")],
    )


def test_a_run_that_went_well(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(summary, ENGLISH)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "All done: run, run 7f3a",
        "  ingest   done       3.46 s  2,430 records in 1 slice and 1 load",
        "  records  2,430 loaded = 2,207 accepted + 211 repeated + 12 rejected",
        "                 8 is_correct_invalid",
        "                 4 created_at_invalid",
        "  tests    40 passed, 1 warned, 0 failed, 0 skipped",
        "           warn: rejected_share: 2 % [bold]of[/] them",
        "  sent     Spreadsheet: out/metrics.xlsx: 60 days written",
        "  log      logs/2026-11-22.log",
    ]


def test_a_run_that_failed(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    summary.failure = "dbt build stopped: [red]"
    summary.loads = summary.tests = None
    show_summary(summary, ENGLISH)
    shown = capsys.readouterr().out
    assert "FAILED: run, run 7f3a" in shown
    assert "  failed   dbt build stopped: [red]" in shown
    assert "records" not in shown.replace("2,430 records", "")
    assert "tests" not in shown


def test_a_delivery_that_failed(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    summary.deliveries.append(Delivery("Mail", False, "boss@school.example", "no answer"))
    show_summary(summary, ENGLISH)
    shown = capsys.readouterr().out
    assert "DELIVERY FAILED: run" in shown
    assert "  sent     Mail: FAILED: boss@school.example: no answer" in shown


def test_made_up_data_is_called_so(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(summary, ENGLISH)
    assert "MADE-UP DATA" not in capsys.readouterr().out
    summary.demo = True
    show_summary(summary, ENGLISH)
    assert "MADE-UP DATA: the built-in demo API fed this run." in capsys.readouterr().out


def test_metrics_are_shown_by_their_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"attempts": 1_234, "success_rate": 0.6123, "attempts_per_user": 3.42, "hours": 1.75}
    show_metrics("a window", {**metrics, "avg_attempts_to_first_correct": None, "graded_submits": 5}, ENGLISH)
    cells = [
        tuple(cell.strip() for cell in line.split("│")[1:3])
        for line in capsys.readouterr().out.splitlines()
        if "│" in line
    ]
    assert cells == [
        ("attempts", "1,234"),
        ("success_rate", "61.2%"),
        ("attempts_per_user", "3.4"),
        ("hours", "1.8"),
        ("avg_attempts_to_first_correct", "–"),
        ("graded_submits", "5"),
    ]


def test_metrics_in_russian_have_labels(capsys: pytest.CaptureFixture[str]) -> None:
    show_metrics("окно", {"attempts": 1_234, "success_rate": 0.6123}, Words("ru"))
    shown = capsys.readouterr().out.replace("\xa0", " ")
    assert "Попытки" in shown
    assert "61,2 %" in shown


def test_the_last_screen_in_russian(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(summary, Words("ru"))
    lines = capsys.readouterr().out.replace("\xa0", " ").splitlines()
    assert lines[1] == "Готово: run, запуск 7f3a"
    assert lines[3] == "  записи   загружено 2 430 = принято 2 207 + повторы 211 + отклонено 12"


def test_changes_are_counted_by_worksheet(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes("out/[x].xlsx", [Change("Summary", 1_400, 0, 0, "new"), Change("About")], ENGLISH)
    shown = capsys.readouterr().out
    assert "out/[x].xlsx" in shown
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert rows == [["Summary", "1,400", "", "", "new worksheet"], ["About", "", "", "", "="]]
    show_changes("x", [Change("About")], ENGLISH)
    assert "Everything is up to date" in capsys.readouterr().out


def test_no_bar_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with ingest_progress() as show:
        show(PROGRESS)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with ingest_progress() as show:
        show(PROGRESS)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1,234 records fetched, 600 loaded" in shown.err
    assert "2/4" in shown.err

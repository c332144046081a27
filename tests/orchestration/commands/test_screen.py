"""What the terminal shows at the end of a run, and for `make metrics`."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest

from orchestration.commands.screen import last_screen, show_changes, show_metrics, show_summary
from orchestration.deliver.sheet.contents import Change
from orchestration.deliver.words import ENGLISH, Words
from orchestration.settings import ROOT
from orchestration.summary import (
    DayVerdict,
    Delivery,
    LoadCounts,
    MetricVerdict,
    RunSummary,
    Stage,
    TestCounts,
    TestResult,
)

REASONS = ["8 is_correct_invalid", "4 created_at_invalid"]


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> RunSummary:
    """A run that went well, of the real API."""
    monkeypatch.chdir(ROOT)
    return RunSummary(
        run_id="7f3a",
        command="run",
        started_at=datetime(2026, 11, 22, 3, tzinfo=timezone.utc),
        demo=False,
        log_file=str(ROOT / "logs" / "2026-11-22.log"),
        stages=[
            Stage("ingest", "done", 3.456, "2,430 records in 1 slice and 1 load"),
            Stage("build", "done", 75, "26 models"),
            Stage("deliver", "done", 0.5, "Spreadsheet: 60 days written"),
        ],
        loads=LoadCounts(2_430, 2_207, 211, 12, {"is_correct_invalid": 8, "created_at_invalid": 4}),
        tests=TestCounts(40, 0, 0, 0),
        verdict=DayVerdict(date(2026, 11, 21), "normal"),
        deliveries=[
            Delivery("Spreadsheet", True, str(ROOT / "out" / "metrics.xlsx"), "60 days written"),
            Delivery("Mail", True, "boss@school.example", "sent to boss@school.example by mail.example:587"),
        ],
    )


def lines(summary: RunSummary, **options: bool) -> list[str]:
    return [text for text, _ in last_screen(summary, ENGLISH, **options)]


def test_a_run_that_went_well(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(summary, ENGLISH)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "All done: run 7f3a",
        "  day        Sat, 21 Nov 2026: as usual",
        "  records    2,430 loaded = 2,207 accepted + 211 repeated + 12 rejected",
        "  delivered  Spreadsheet: out/metrics.xlsx",
        "             Mail: boss@school.example",
        "  stages     ingest 3.5 s, build 1 min 15 s, deliver 0.5 s",
        "  log        logs/2026-11-22.log",
    ]


def test_an_api_that_has_nothing_yet_is_not_shown_as_a_good_day(summary: RunSummary) -> None:
    summary.verdict = None
    summary.loads = LoadCounts(0, 0, 0, 0, {})
    assert ("  day        No attempts were received yet", "yellow") in last_screen(summary, ENGLISH)


def test_all_of_it_when_asked_for(summary: RunSummary) -> None:
    shown = lines(summary, verbose=True)
    assert [line.strip() for line in shown if "invalid" in line] == REASONS
    assert "  tests      40 passed, 0 warned, 0 failed, 0 skipped" in shown
    assert "             build 1 min 15 s: 26 models" in shown
    assert "  delivered  Spreadsheet: out/metrics.xlsx: 60 days written" in shown


def test_reasons_are_shown_when_rejections_are_unusual(summary: RunSummary) -> None:
    def reasons() -> list[str]:
        return [line.strip() for line in lines(summary) if "invalid" in line]

    assert reasons() == []
    share = MetricVerdict("rejected_share", "unusual_high", 0.02, 0.005, 0, 0.01)
    summary.verdict = DayVerdict(date(2026, 11, 21), "unusual", (share,))
    assert reasons() == REASONS
    other = MetricVerdict("attempts", "unusual_low", 12, 100, 50, 150)
    summary.verdict = DayVerdict(date(2026, 11, 21), "unusual", (other,))
    assert reasons() == []
    summary.loads = LoadCounts(240, 228, 0, 12, {"is_correct_invalid": 8, "created_at_invalid": 4})
    assert reasons() == REASONS


def test_tests_that_warn_are_told(summary: RunSummary) -> None:
    summary.tests = TestCounts(40, 1, 0, 0, (TestResult("rejected_share", "warn", 1, "2 % [bold]of[/] them"),))
    shown = lines(summary)
    assert "  tests      40 passed, 1 warned, 0 failed, 0 skipped" in shown
    assert "             warn: rejected_share: 2 % [bold]of[/] them" in shown


def test_a_stage_alone_says_what_it_did(summary: RunSummary) -> None:
    summary.command, summary.stages = "ingest", summary.stages[:1]
    summary.loads = summary.tests = summary.verdict = None
    summary.deliveries = []
    assert lines(summary) == [
        "All done: ingest 7f3a",
        "  stages  ingest 3.5 s: 2,430 records in 1 slice and 1 load",
        "  log     logs/2026-11-22.log",
    ]


def test_a_screen_of_a_good_night_is_short_in_every_language(summary: RunSummary) -> None:
    shown = [text for text, _ in last_screen(summary, Words("ru"))]
    assert len(shown) == len(lines(summary)) == 7
    assert "Готово: run 7f3a" in shown[0]
    assert "доставлено  Таблица: out/metrics.xlsx" in "\n".join(shown)
    assert all(len(line) <= 80 for line in shown)


def test_a_run_that_failed(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    summary.failure = "dbt build stopped: [red]"
    summary.stages[1:] = [Stage("build", "failed", 3, summary.failure)]
    summary.loads = summary.tests = None
    show_summary(summary, ENGLISH)
    shown = capsys.readouterr().out
    assert "FAILED: run 7f3a" in shown
    assert "  failed     dbt build stopped: [red]" in shown
    assert "ingest 3.5 s, build FAILED after 3.0 s" in shown
    assert "records" not in shown
    assert "tests" not in shown


def test_a_delivery_that_failed(summary: RunSummary, capsys: pytest.CaptureFixture[str]) -> None:
    summary.deliveries.append(Delivery("Mail", False, "boss@school.example", "no answer"))
    show_summary(summary, ENGLISH)
    shown = capsys.readouterr().out
    assert "DELIVERY FAILED: run 7f3a" in shown
    assert "             Mail: boss@school.example: FAILED: no answer" in shown


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


def test_changes_are_counted_by_worksheet(capsys: pytest.CaptureFixture[str]) -> None:
    show_changes("out/[x].xlsx", [Change("Summary", 1_400, 0, 0, "new"), Change("About")], ENGLISH)
    shown = capsys.readouterr().out
    assert "out/[x].xlsx" in shown
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert rows == [["Summary", "1,400", "", "", "new worksheet"], ["About", "", "", "", "="]]
    show_changes("x", [Change("About")], ENGLISH)
    assert "Everything is up to date" in capsys.readouterr().out

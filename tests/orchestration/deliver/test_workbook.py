"""The workbook file, opened again."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import DAILY
from orchestration.deliver.figures import Figures, Receipt
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.sheet.workbook import Workbook
from orchestration.deliver.words import ENGLISH
from orchestration.summary import LoadCounts, RunSummary, Stage, TestCounts
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, TITLES, make_days

DAILY_COLUMNS = DAILY.names
WIDTH = len(DAILY_COLUMNS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "metrics.xlsx"


@pytest.fixture
def tables(full_figures: Figures, summary: RunSummary) -> Tables:
    described = replace(full_figures, descriptions={"daily_metrics": {"attempts": "Runs and submits."}})
    return build_tables(described, summary, "out/dbt-docs.html", ENGLISH)


def rows(path: Path, title: str = "Daily metrics", width: int = WIDTH) -> list[tuple[Any, ...]]:
    sheet = openpyxl.load_workbook(path)[title]
    found = [tuple(row) for row in sheet.iter_rows(max_col=width, values_only=True)]
    while found and not any(cell is not None for cell in found[-1]):
        found.pop()
    return found


def charts(sheet: Any) -> list[Any]:
    found: list[Any] = sheet._charts
    return found


def about(path: Path) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in rows(path, "About", 2)}


def test_the_workbook_holds_the_mart(path: Path, tables: Tables, figures: Figures) -> None:
    assert Workbook(path).deliver(tables).ok
    found = rows(path)
    assert found[0] == DAILY_COLUMNS
    assert len(found) == 61
    assert found[-1][0] == datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day)
    for row, day in zip(found[1:], figures.days, strict=True):
        assert row[1:] == pytest.approx(tuple(day.values.values()))


def test_numbers_dates_and_look_are_native(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == list(TITLES)
    daily = book["Daily metrics"]
    formats = {name: daily.cell(5, index).number_format for index, name in enumerate(DAILY_COLUMNS, start=1)}
    assert daily["A5"].is_date
    assert formats["success_rate"] == "0.0%"
    assert formats["avg_attempts_to_first_correct"] == "0.0"
    assert formats["attempts"] == "#,##0"
    assert daily.freeze_panes == "A2"
    assert daily.column_dimensions["J"].width > daily.column_dimensions["C"].width
    (coloured,) = daily.conditional_formatting
    assert str(coloured.sqref).startswith("F2:F")
    assert charts(daily) == []


def test_the_book_opens_on_the_summary_with_its_charts_on_the_first_screen(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    page = book.worksheets[0]
    assert book.active is page
    assert page.title == "Summary"
    assert [sheet.title for sheet in book if sheet.sheet_view.tabSelected] == ["Summary"]
    left = sum(page.column_dimensions[letter].width * 7 for letter in "ABCDEFG")
    for chart, column in zip(charts(page), ("B", "F"), strict=True):
        (series,) = chart.series
        assert series.cat.numRef.f == "'Daily metrics'!$A$2:$A$61"
        assert series.val.numRef.f == f"'Daily metrics'!${column}$2:${column}$61"
        corner, size = chart.anchor._from, chart.anchor.ext
        assert corner.col == 7
        # What a spreadsheet program leaves for cells on a screen of 1366 x 768 pixels, in pixels of 9,525 units.
        # Without the font Calibri columns become wider.
        assert 1.41 * left + (corner.colOff + size.width) / 9_525 <= 1_266
        assert corner.row * 20 + (corner.rowOff + size.height) / 9_525 <= 440


def test_the_charts_show_the_newest_sixty_days(
    path: Path, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    Workbook(path).deliver(tables)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(75)), summary, "docs", ENGLISH))
    shown = [chart.series[0].val.numRef.f for chart in charts(openpyxl.load_workbook(path)["Summary"])]
    assert shown == ["'Daily metrics'!$B$17:$B$76", "'Daily metrics'!$F$17:$F$76"]


def test_the_book_opens_on_the_summary_again_after_each_delivery(
    path: Path, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    book.active = 3
    book.save(path)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(61)), summary, "docs", ENGLISH))
    book = openpyxl.load_workbook(path)
    assert book.active is not None
    assert book.active.title == "Summary"
    assert [sheet.title for sheet in book if sheet.sheet_view.tabSelected] == ["Summary"]


def test_only_its_owner_reads_it(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["metrics.xlsx"]


def test_running_twice_changes_nothing(path: Path, figures: Figures, summary: RunSummary) -> None:
    Workbook(path).deliver(build_tables(figures, summary, "docs", ENGLISH))
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino
    delivery = Workbook(path).deliver(build_tables(figures, replace(summary, run_id="another-run"), "docs", ENGLISH))
    assert "up to date" in delivery.detail
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_what_people_did_survives(path: Path, figures: Figures, summary: RunSummary, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    daily = book["Daily metrics"]
    daily.cell(1, WIDTH + 1).value = "my notes"
    daily.cell(3, WIDTH + 1).value = "=B3*2"
    daily["B4"].comment = Comment("why so few?", "boss")
    daily.column_dimensions["B"].width = 44
    own = book.create_sheet("Mine", 0)
    own.append(["a", 1])
    bars = BarChart()
    bars.title = "Mine"
    bars.add_data(Reference(own, min_col=2, min_row=1, max_row=1))
    own.add_chart(bars)
    own["C1"] = "='Daily metrics'!B2"
    book.save(path)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(70)), summary, "docs", ENGLISH))
    book = openpyxl.load_workbook(path)
    daily = book["Daily metrics"]
    assert len(rows(path)) == 71
    assert (daily.cell(1, WIDTH + 1).value, daily.cell(3, WIDTH + 1).value) == ("my notes", "=B3*2")
    assert daily["B4"].comment.text == "why so few?"
    assert daily.column_dimensions["B"].width == 44
    assert book.sheetnames[0] == "Mine"
    assert len(charts(book["Mine"])) == 1
    assert book["Mine"]["C1"].value == "='Daily metrics'!B2"
    assert len(daily.conditional_formatting) == 1


def test_a_moved_chart_stays_where_it_is_and_a_removed_one_away(
    path: Path, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    charts(book["Summary"])[0].anchor._from.row = 40
    book.save(path)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(61)), summary, "docs", ENGLISH))
    book = openpyxl.load_workbook(path)
    moved = next(chart for chart in charts(book["Summary"]) if chart.anchor._from.row == 40)
    assert moved.series[0].val.numRef.f.endswith("$62")
    charts(book["Summary"]).remove(moved)
    book.save(path)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(62)), summary, "docs", ENGLISH))
    (left,) = charts(openpyxl.load_workbook(path)["Summary"])
    assert left.series[0].val.numRef.f == "'Daily metrics'!$F$4:$F$63"


def test_the_chart_of_earlier_versions_moves_to_the_summary(path: Path, tables: Tables) -> None:
    book = openpyxl.Workbook()
    daily = book.worksheets[0]
    daily.title = "Daily metrics"
    daily.append(["activity_date", "attempts"])
    daily.append([LAST_DAY, 7])
    for title in ("Attempts, correct submits and unique users a day (made-up data)", "Mine"):
        chart = BarChart()
        chart.title = title
        chart.add_data(Reference(daily, min_col=2, min_row=1, max_row=2))
        daily.add_chart(chart)
    path.parent.mkdir()
    book.save(path)
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    assert [len(charts(book[title])) for title in ("Daily metrics", "Summary")] == [1, 2]


def test_links_stay_with_their_tasks(path: Path, full_figures: Figures, summary: RunSummary, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    fewer = replace(full_figures, tasks=(full_figures.tasks[2], {**full_figures.tasks[3], "lms_url": None}))
    Workbook(path).deliver(build_tables(fewer, summary, "docs", ENGLISH))
    book = openpyxl.load_workbook(path)
    for title in ("Summary", "Tasks to repair"):
        linked = [cell.hyperlink.target for row in book[title].iter_rows() for cell in row if cell.hyperlink]
        assert linked == ["https://lms.example/courses/C1/jump_to/3"]


def test_who_reads_it_meanwhile_keeps_the_whole_old_file(
    path: Path, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    Workbook(path).deliver(tables)
    before = path.read_bytes()
    with path.open("rb") as reader:
        Workbook(path).deliver(build_tables(replace(figures, days=make_days(5)), summary, "docs", ENGLISH))
        assert reader.read() == before
    assert path.read_bytes() != before


def test_vanished_days_vanish(path: Path, figures: Figures, summary: RunSummary, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    Workbook(path).deliver(build_tables(replace(figures, days=make_days(5)), summary, "docs", ENGLISH))
    assert len(rows(path)) == 6


def test_someone_elses_figure_is_set_right(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    book = openpyxl.load_workbook(path)
    book["Daily metrics"]["B2"] = 1_000_000
    book.save(path)
    Workbook(path).deliver(tables)
    assert rows(path)[1][1] == tables.daily.rows[0][1]


def test_an_empty_mart_makes_a_workbook_with_headers(path: Path, summary: RunSummary) -> None:
    Workbook(path).deliver(build_tables(Figures(MOSCOW), summary, "docs", ENGLISH))
    assert rows(path) == [DAILY_COLUMNS]
    assert rows(path, "Summary", 7)[1][0] == "There are no figures yet"
    assert about(path)["Data as of"] == "nothing loaded yet"


@pytest.mark.parametrize("content", [b"", b"not a workbook", b"PK\x03\x04 half a zip"])
def test_an_unreadable_file_is_kept_aside(
    path: Path, tables: Tables, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    Workbook(path).deliver(tables)
    assert len(rows(path)) == 61
    (aside,) = path.parent.glob("metrics.unreadable-*.xlsx")
    assert aside.read_bytes() == content
    assert aside.name in caplog.text


def test_a_file_that_cannot_be_written_stays_as_it_was(
    path: Path, figures: Figures, summary: RunSummary, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workbook(path).deliver(tables)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(DeliveryError, match=f"cannot write {path}: No space left"):
        Workbook(path).deliver(build_tables(replace(figures, days=make_days(5)), summary, "docs", ENGLISH))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["metrics.xlsx"]


def test_texts_from_data_are_no_formulas(path: Path, figures: Figures, summary: RunSummary) -> None:
    evil = {"=1+1": 3, "@SUM(A1)": 2, "\x00bad\x0b\ud800": 1}
    receipt = Receipt("=cmd|'/c calc'!A1", figures.receipts[0].loaded_at, LoadCounts(6, 0, 0, 6, evil))
    Workbook(path).deliver(build_tables(replace(figures, receipts=(receipt,)), summary, "=2+2", ENGLISH))
    book = openpyxl.load_workbook(path)
    texts = [cell for sheet in book for row in sheet.iter_rows() for cell in row if str(cell.value or "")[:1] in "=@+-"]
    dangerous = [cell for cell in texts if cell.value]
    assert {cell.value for cell in dangerous} == {
        "=cmd|'/c calc'!A1",
        "=1+1: 3, @SUM(A1): 2, bad : 1",
        "=2+2",
    }
    assert {cell.data_type for cell in dangerous} == {"s"}


def test_about_explains_the_columns_and_says_that_data_is_made_up(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    told = about(path)
    assert told["attempts"] == "Runs and submits."
    assert told["Time zone of all days and times"] == "Europe/Moscow"
    assert told["Data as of"] == "Sun, 22 Nov 2026, 06:00 (Europe/Moscow)"
    assert told["Run that wrote this"] == "20261122T030000Z-7f3a"
    assert told["Documentation"] == "out/dbt-docs.html"
    assert told["Notice"].startswith("Made-up data")


def test_a_failed_gate_leaves_a_dated_banner_and_the_last_good_table(
    path: Path, figures: Figures, summary: RunSummary
) -> None:
    real = replace(summary, demo=False)
    Workbook(path).deliver(build_tables(figures, real, "docs", ENGLISH))
    good = rows(path)
    failed = replace(real, failure="a test", stages=[Stage("build", "failed", 1.0, "")], tests=TestCounts(10, 0, 1, 3))
    Workbook(path).deliver(build_tables(figures, failed, "docs", ENGLISH))
    assert rows(path) == good
    assert about(path)["Notice"].startswith(
        "No new figures: the run failed at the stage 'build'. The last good figures are"
    )
    Workbook(path).deliver(build_tables(figures, real, "docs", ENGLISH))
    assert "Notice" not in about(path)


def test_data_quality_has_a_row_per_load_newest_first(path: Path, tables: Tables) -> None:
    Workbook(path).deliver(tables)
    found = rows(path, "Data quality", 7)
    assert found[0][2:6] == ("fetched", "accepted", "repeated", "rejected")
    assert found[1][0] == datetime(2026, 11, 22, 6, 0, 3)
    assert found[1][2:6] == (2_430, 2_207, 211, 12)
    assert "is_correct_invalid: 7" in found[1][6]
    assert [row[0] for row in found[1:]] == sorted((row[0] for row in found[1:]), reverse=True)


def test_check_says_where_it_goes_and_makes_nothing(path: Path) -> None:
    assert str(path) in Workbook(path).check()
    assert not path.parent.exists()
    path.parent.write_text("a file in the way")
    with pytest.raises(DeliveryError, match="not a writable folder"):
        Workbook(path).check()

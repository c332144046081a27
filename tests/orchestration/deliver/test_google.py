"""The Google spreadsheet, over HTTP with the real google-auth."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from orchestration.deliver.columns import DAILY
from orchestration.deliver.figures import Figures
from orchestration.deliver.sheet.google import GoogleSheet
from orchestration.deliver.sheet.tables import Tables, build_tables
from orchestration.deliver.words import ENGLISH
from orchestration.summary import RunSummary
from tests.orchestration.deliver.conftest import LAST_DAY, MOSCOW, make_days, make_receipts
from tests.orchestration.deliver.google_emulator import Google, Refused, Worksheet

DAILY_COLUMNS = DAILY.names
WIDTH = len(DAILY_COLUMNS)


def serial(day: date) -> int:
    return (day - date(1899, 12, 30)).days


def calls(google: Google) -> list[str]:
    """What was asked, without the spreadsheet's address."""
    return [request.replace(f"/v4/spreadsheets/{google.spreadsheet}", "") for request in google.requests]


def test_first_delivery_writes_real_dates_and_numbers(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    delivery = sheet.deliver(tables)
    assert delivery.ok
    assert delivery.target == f"https://docs.google.com/spreadsheets/d/{google.spreadsheet}"
    rows = google.sheet("Daily metrics").values(WIDTH)
    assert tuple(rows[0]) == DAILY_COLUMNS
    assert len(rows) == 61
    assert rows[-1][0] == serial(LAST_DAY)
    assert rows[-1][1:] == list(tables.daily.rows[-1][1:])
    silent = next(row for row in rows if row[0] == serial(date(2026, 10, 25)))
    assert silent[:7] == [silent[0], 0, 0, 0, 0, "", 0]
    assert google.sheet("Sheet1").cells == {}


def test_first_delivery_dresses_the_sheet(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    formats = {name: daily.format_at(5, index)["numberFormat"] for index, name in enumerate(DAILY_COLUMNS)}
    assert formats["activity_date"] == {"type": "DATE", "pattern": "yyyy-mm-dd"}
    assert formats["success_rate"] == {"type": "PERCENT", "pattern": "0.0%"}
    assert formats["attempts_per_user"]["pattern"] == "0.0"
    assert daily.frozen == 1
    assert daily.format_at(0, 0)["textFormat"]["bold"]
    assert set(daily.widths) == set(range(WIDTH))
    (rule,) = daily.rules
    assert rule["ranges"][0]["startColumnIndex"] == DAILY_COLUMNS.index("success_rate")
    assert daily.charts == {}


def test_the_charts_show_the_newest_sixty_days(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary
) -> None:
    sheet.deliver(build_tables(replace(figures, days=make_days(90)), summary, "docs", ENGLISH))
    page, daily = google.sheet("Summary"), google.sheet("Daily metrics")
    for rows in ((31, 91), (41, 101)):
        shown = {
            chart["spec"]["title"]: [
                chart["spec"]["basicChart"][part][0][name]["sourceRange"]["sources"][0]
                for part, name in (("domains", "domain"), ("series", "series"))
            ]
            for chart in page.charts.values()
        }
        assert list(shown) == ["Attempts a day (made-up data)", "Success rate by day (made-up data)"]
        for (days, values), column in zip(shown.values(), ("attempts", "success_rate"), strict=True):
            assert (days["sheetId"], days["startColumnIndex"]) == (daily.id, 0)
            assert DAILY_COLUMNS[values["startColumnIndex"]] == column
            for source in (days, values):
                assert (source["startRowIndex"], source["endRowIndex"]) == rows
        sheet.deliver(build_tables(replace(figures, days=make_days(100)), summary, "docs", ENGLISH))


def test_the_charts_stand_on_the_first_screen(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    page = google.sheet("Summary")
    assert google.sheets[0] is page, "Google opens the first worksheet"
    left = sum(page.widths.values())
    for chart in page.charts.values():
        place = chart["position"]["overlayPosition"]
        assert (place["anchorCell"]["rowIndex"], place["anchorCell"]["columnIndex"]) == (0, len(page.widths))
        # What a browser of 1366 x 768 pixels leaves for cells.
        assert left + place["offsetXPixels"] + place["widthPixels"] <= 1_240
        assert place["offsetYPixels"] + place["heightPixels"] <= 440


def test_requests_of_a_first_a_second_and_a_next_days_delivery(
    google: Google, sheet: GoogleSheet, full_figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    figures = full_figures
    sheet.deliver(tables)
    assert calls(google) == [
        "POST /token",
        "GET ",
        "POST :batchUpdate",
        "POST /values:batchUpdate",
    ]
    google.requests.clear()
    later_run = replace(summary, run_id="another-run")
    assert "up to date" in sheet.deliver(build_tables(figures, later_run, "https://docs.example/", ENGLISH)).detail
    assert calls(google) == ["POST /token", "GET ", "GET /values:batchGet"]
    google.requests.clear()
    grown = replace(figures, days=make_days(61, LAST_DAY + timedelta(days=1)))
    sheet.deliver(build_tables(grown, summary, "https://docs.example/", ENGLISH))
    assert calls(google) == [
        "POST /token",
        "GET ",
        "GET /values:batchGet",
        "POST :batchUpdate",
        "POST /values:batchUpdate",
    ]
    assert google.sheet("Daily metrics").values(WIDTH)[-1][0] == serial(LAST_DAY) + 1


def test_second_delivery_leaves_the_charts_and_what_people_did(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    daily.cells[0, WIDTH], daily.cells[3, WIDTH] = "my notes", "=A4"
    daily.cells[2_000 - 1 if daily.rows > 2_000 else 500, WIDTH + 1] = "far below"
    daily.widths[1] = 400
    page = google.sheet("Summary")
    chart, _ = page.charts.values()
    chart["position"]["overlayPosition"]["anchorCell"]["rowIndex"] = 30
    chart["spec"]["subtitle"] = "seen from here"
    google.sheet("Sheet1").cells[0, 0] = "mine"
    theirs = {at: value for at, value in daily.cells.items() if at[1] >= WIDTH}
    sheet.deliver(build_tables(replace(figures, days=make_days(1_500)), summary, "docs", ENGLISH))
    daily = google.sheet("Daily metrics")
    assert len(daily.values(WIDTH)) == 1_501
    assert {at: value for at, value in daily.cells.items() if at[1] >= WIDTH} == theirs
    assert daily.widths[1] == 400
    assert len(daily.rules) == 1
    chart, other = google.sheet("Summary").charts.values()
    assert chart["position"]["overlayPosition"]["anchorCell"]["rowIndex"] == 30
    assert chart["spec"]["subtitle"] == "seen from here"
    for drawn in (chart, other):
        source = drawn["spec"]["basicChart"]["series"][0]["series"]["sourceRange"]["sources"][0]
        assert source["endRowIndex"] == 1_501
    assert daily.format_at(1_400, 0)["numberFormat"]["type"] == "DATE"
    assert google.sheet("Sheet1").cells == {(0, 0): "mine"}


def test_a_chart_that_people_removed_stays_away(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    charts = google.sheet("Summary").charts
    del charts[min(charts)]
    sheet.deliver(build_tables(replace(figures, days=make_days(80)), summary, "docs", ENGLISH))
    assert len(google.sheet("Summary").charts) == 1


def test_vanished_days_vanish_from_our_columns_only(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").cells[60, WIDTH] = "a note beside the last day"
    sheet.deliver(build_tables(replace(figures, days=make_days(10)), summary, "docs", ENGLISH))
    daily = google.sheet("Daily metrics")
    assert len(daily.values(WIDTH)) == 11
    assert daily.cells[60, WIDTH] == "a note beside the last day"
    assert daily.rows >= 61


def test_an_empty_mart_leaves_a_header(google: Google, sheet: GoogleSheet, summary: RunSummary, tables: Tables) -> None:
    sheet.deliver(tables)
    sheet.deliver(build_tables(Figures(MOSCOW), summary, "docs", ENGLISH))
    assert google.sheet("Daily metrics").values(WIDTH) == [list(DAILY_COLUMNS)]


def test_texts_from_data_never_become_formulas(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    written = [json.loads(body) for body in google.bodies if b"valueInputOption" in body]
    assert [body["valueInputOption"] for body in written] == ["RAW"]


def test_ten_years_fit_into_one_write(google: Google, sheet: GoogleSheet, summary: RunSummary) -> None:
    decade = Figures(MOSCOW, make_days(3_653), make_receipts(4_000))
    sheet.deliver(build_tables(decade, summary, "docs", ENGLISH))
    assert calls(google).count("POST /values:batchUpdate") == 1
    assert max(map(len, google.bodies)) < 2_000_000  # what Google recommends as a payload's size
    assert len(google.sheet("Daily metrics").values(WIDTH)) == 3_654


def test_an_existing_worksheet_is_dressed_and_grown(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    google.sheets.append(Worksheet(5, "Daily metrics", rows=10, columns=4))
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    assert (daily.id, daily.frozen, len(daily.values(WIDTH)), len(daily.rules)) == (5, 1, 61, 1)
    assert daily.format_at(1, 0)["numberFormat"]["type"] == "DATE"


def test_the_chart_of_earlier_versions_moves_to_the_summary(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    google.sheets.append(daily := Worksheet(71_000_000, "Daily metrics", frozen=1))
    daily.charts = {72_000_000 + 71_000_000 % 1_000_000: {"chartId": 72_000_000}, 5: {"chartId": 5}}
    sheet.deliver(tables)
    assert list(google.sheet("Daily metrics").charts) == [5], "people's own stays"
    assert len(google.sheet("Summary").charts) == 2


def test_a_worksheet_that_people_renamed_is_not_taken_back(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").title = "Archive"
    sheet.deliver(tables)
    assert google.sheet("Archive").values(WIDTH) == google.sheet("Daily metrics").values(WIDTH)


def test_made_up_data_is_said_and_unsaid(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    def titles() -> list[str]:
        return [chart["spec"]["title"] for chart in google.sheet("Summary").charts.values()]

    sheet.deliver(tables)
    assert all("made-up data" in title for title in titles())
    assert "Made-up data" in google.sheet("About").values()[1][1]
    assert any("Made-up data" in str(row[0]) for row in google.sheet("Summary").values()[:6] if row)
    sheet.deliver(build_tables(figures, replace(summary, demo=False), "docs", ENGLISH))
    assert titles() == ["Attempts a day", "Success rate by day"]
    for title in ("Summary", "About"):
        assert not any("Made-up" in str(row) for row in google.sheet(title).values())


def test_the_emulator_refuses_what_google_refuses() -> None:
    google = Google()
    with pytest.raises(Refused, match="exceeds grid limits"):
        google.batch_get({"ranges": ["'Sheet1'!A1:A2000"]})
    with pytest.raises(Refused, match="at least one"):
        google.batch_update({"requests": []})
    grid = {"rowCount": 10, "columnCount": 3}
    for properties, reason in (
        ({"sheetId": 7, "title": "SHEET1", "gridProperties": grid}, "already exists"),
        ({"sheetId": 0, "title": "Other", "gridProperties": grid}, "already exists"),
        ({"sheetId": 7, "title": "Other", "index": 5, "gridProperties": grid}, "out of bounds"),
    ):
        with pytest.raises(Refused, match=reason):
            google.batch_update({"requests": [{"addSheet": {"properties": properties}}]})
    for request, reason in (
        ({"deleteSheet": {"sheetId": 0}}, "remove all the sheets"),
        ({"deleteSheet": {"sheetId": 8}}, "No grid"),
        ({"deleteEmbeddedObject": {"objectId": 1}}, "no object"),
        ({"repeatCell": {"range": {"sheetId": 0}, "cell": {}, "fields": "userEnteredFormat(textFormat)"}}, "field"),
    ):
        with pytest.raises(Refused, match=reason):
            google.batch_update({"requests": [request]})

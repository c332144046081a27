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
    (chart,) = daily.charts.values()
    assert chart["spec"]["title"].startswith("Attempts, correct submits and unique users")
    shown = [series["series"]["sourceRange"]["sources"][0] for series in chart["spec"]["basicChart"]["series"]]
    columns = [DAILY_COLUMNS[source["startColumnIndex"]] for source in shown]
    assert columns == ["attempts", "correct_submits", "unique_users"]
    assert all(source["endRowIndex"] > 61 for source in shown)
    assert chart["position"]["overlayPosition"]["anchorCell"]["columnIndex"] > WIDTH


def test_requests_of_a_first_a_second_and_a_next_days_delivery(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    assert calls(google) == [
        "POST /token",
        "GET ",
        "POST :batchUpdate",
        "POST /values:batchUpdate",
        "POST :batchUpdate",
    ]
    google.requests.clear()
    later_run = replace(summary, run_id="another-run")
    assert "up to date" in sheet.deliver(build_tables(figures, later_run, "https://docs.example/")).detail
    assert calls(google) == ["POST /token", "GET ", "GET /values:batchGet"]
    google.requests.clear()
    grown = replace(figures, days=make_days(61, LAST_DAY + timedelta(days=1)))
    sheet.deliver(build_tables(grown, summary, "https://docs.example/"))
    assert calls(google) == ["POST /token", "GET ", "GET /values:batchGet", "POST /values:batchUpdate"]
    assert google.sheet("Daily metrics").values(WIDTH)[-1][0] == serial(LAST_DAY) + 1


def test_second_delivery_leaves_one_chart_and_what_people_did(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    daily.cells[0, WIDTH], daily.cells[3, WIDTH] = "my notes", "=A4"
    daily.cells[2_000 - 1 if daily.rows > 2_000 else 500, WIDTH + 1] = "far below"
    daily.widths[1] = 400
    (chart,) = daily.charts.values()
    chart["position"]["overlayPosition"]["anchorCell"]["rowIndex"] = 30
    chart["spec"]["subtitle"] = "seen from here"
    google.sheet("Sheet1").cells[0, 0] = "mine"
    theirs = {at: value for at, value in daily.cells.items() if at[1] >= WIDTH}
    sheet.deliver(build_tables(replace(figures, days=make_days(1_500)), summary, "docs"))
    daily = google.sheet("Daily metrics")
    assert len(daily.values(WIDTH)) == 1_501
    assert {at: value for at, value in daily.cells.items() if at[1] >= WIDTH} == theirs
    assert daily.widths[1] == 400
    assert len(daily.rules) == 1
    (chart,) = daily.charts.values()
    assert chart["position"]["overlayPosition"]["anchorCell"]["rowIndex"] == 30
    assert chart["spec"]["subtitle"] == "seen from here"
    assert chart["spec"]["basicChart"]["series"][0]["series"]["sourceRange"]["sources"][0]["endRowIndex"] >= 1_501
    assert daily.format_at(1_400, 0)["numberFormat"]["type"] == "DATE"
    assert google.sheet("Sheet1").cells == {(0, 0): "mine"}


def test_a_chart_that_people_removed_stays_away(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").charts.clear()
    sheet.deliver(tables)
    assert google.sheet("Daily metrics").charts == {}


def test_vanished_days_vanish_from_our_columns_only(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").cells[60, WIDTH] = "a note beside the last day"
    sheet.deliver(build_tables(replace(figures, days=make_days(10)), summary, "docs"))
    daily = google.sheet("Daily metrics")
    assert len(daily.values(WIDTH)) == 11
    assert daily.cells[60, WIDTH] == "a note beside the last day"
    assert daily.rows >= 61


def test_an_empty_mart_leaves_a_header(google: Google, sheet: GoogleSheet, summary: RunSummary, tables: Tables) -> None:
    sheet.deliver(tables)
    sheet.deliver(build_tables(Figures(MOSCOW), summary, "docs"))
    assert google.sheet("Daily metrics").values(WIDTH) == [list(DAILY_COLUMNS)]


def test_texts_from_data_never_become_formulas(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    written = [json.loads(body) for body in google.bodies if b"valueInputOption" in body]
    assert [body["valueInputOption"] for body in written] == ["RAW"]


def test_ten_years_fit_into_one_write(google: Google, sheet: GoogleSheet, summary: RunSummary) -> None:
    decade = Figures(MOSCOW, make_days(3_653), make_receipts(4_000))
    sheet.deliver(build_tables(decade, summary, "docs"))
    assert calls(google).count("POST /values:batchUpdate") == 1
    assert max(map(len, google.bodies)) < 2_000_000  # what Google recommends as a payload's size
    assert len(google.sheet("Daily metrics").values(WIDTH)) == 3_654


def test_an_existing_worksheet_is_dressed_and_grown(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    google.sheets.append(Worksheet(5, "Daily metrics", rows=10, columns=4))
    sheet.deliver(tables)
    daily = google.sheet("Daily metrics")
    assert (daily.id, daily.frozen, len(daily.values(WIDTH)), len(daily.charts)) == (5, 1, 61, 1)
    assert daily.format_at(1, 0)["numberFormat"]["type"] == "DATE"


def test_a_worksheet_that_people_renamed_is_not_taken_back(google: Google, sheet: GoogleSheet, tables: Tables) -> None:
    sheet.deliver(tables)
    google.sheet("Daily metrics").title = "Archive"
    sheet.deliver(tables)
    assert google.sheet("Archive").values(WIDTH) == google.sheet("Daily metrics").values(WIDTH)


def test_made_up_data_is_said_and_unsaid(
    google: Google, sheet: GoogleSheet, figures: Figures, summary: RunSummary, tables: Tables
) -> None:
    sheet.deliver(tables)
    (chart,) = google.sheet("Daily metrics").charts.values()
    assert "made-up data" in chart["spec"]["title"]
    assert "Made-up data" in google.sheet("About").values()[1][1]
    sheet.deliver(build_tables(figures, replace(summary, demo=False), "docs"))
    (chart,) = google.sheet("Daily metrics").charts.values()
    assert "made-up" not in chart["spec"]["title"]
    assert not any("Made-up" in str(row) for row in google.sheet("About").values())


def test_the_emulator_refuses_what_google_refuses() -> None:
    google = Google()
    with pytest.raises(Refused, match="exceeds grid limits"):
        google.batch_get({"ranges": ["'Sheet1'!A1:A2000"]})
    with pytest.raises(Refused, match="at least one"):
        google.batch_update({"requests": []})

"""The requests that bring a spreadsheet from what it holds to what it should hold. Pure functions.

Rows and columns of the API's ranges count from 0 and their ends are excluded:
https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any

from gspread.utils import convert_hex_to_colors_dict as to_rgb

from orchestration.deliver.columns import Kind
from orchestration.deliver.sheet.tables import HEADER_FILL, HEADER_TEXT, NUMBER_FORMATS, SHADES, Cell, Chart, Table

Request = dict[str, Any]

FIELDS = (
    "sheets(properties(sheetId,title,gridProperties(rowCount,columnCount,frozenRowCount)),"
    "charts(chartId,spec),protectedRanges(warningOnly,requestingUserCanEdit))"
)
"""What is read of a spreadsheet before anything is written: no cells."""

_EPOCH = datetime(1899, 12, 30)
_ROWS_AHEAD = 1_000
_FIRST_COLUMNS = 26
_BEFORE_CHART = 3  # columns between the table and the chart, for what people add
_CHART_IDS = 72_000_000
_TYPES: dict[Kind, str] = {"date": "DATE", "time": "DATE_TIME", "share": "PERCENT", "text": "TEXT"}


@dataclass(frozen=True)
class Sheet:
    """A worksheet as it is: its grid's size, and the specification of each chart by id."""

    id: int
    rows: int
    columns: int
    frozen: bool
    locked: bool
    charts: Mapping[int, Mapping[str, Any]]


def read_sheets(spreadsheet: Mapping[str, Any]) -> dict[str, Sheet]:
    """The worksheets in an answer of `spreadsheets.get`, by title; no rows without a grid."""
    found = {}
    for sheet in spreadsheet.get("sheets", ()):
        properties = sheet["properties"]
        grid = properties.get("gridProperties", {})
        found[str(properties["title"])] = Sheet(
            id=properties.get("sheetId", 0),
            rows=grid.get("rowCount", 0),
            columns=grid.get("columnCount", 0),
            frozen=grid.get("frozenRowCount", 0) > 0,
            locked=any(
                not (area.get("requestingUserCanEdit") or area.get("warningOnly"))
                for area in sheet.get("protectedRanges", ())
            ),
            charts={chart["chartId"]: chart.get("spec", {}) for chart in sheet.get("charts", ())},
        )
    return found


def sizing(tables: Sequence[Table], sheets: Mapping[str, Sheet]) -> tuple[list[Request], dict[str, Sheet]]:
    """Requests that add missing worksheets, rows and columns, and the worksheets thereafter.

    New rows get their number formats at once: no reader sees a date as a number. Nothing shrinks.
    """
    requests: list[Request] = []
    after = dict(sheets)
    for table in tables:
        sheet = sheets.get(table.title)
        rows = _ROWS_AHEAD * (len(table.cells) // _ROWS_AHEAD + 1)
        columns = len(table.columns) + (_BEFORE_CHART + 1 if table.chart else 0)
        if sheet is None:
            columns = max(columns, _FIRST_COLUMNS)
            taken = {other.id for other in after.values()}
            free_id = next(number for number in count(71_000_000) if number not in taken)
            sheet = Sheet(free_id, rows, columns, frozen=False, locked=False, charts={})
            grid = {"rowCount": rows, "columnCount": columns}
            properties = {"sheetId": sheet.id, "title": table.title, "gridProperties": grid}
            requests.append({"addSheet": {"properties": properties}})
            requests += _formats(table, sheet.id, 1)
        if sheet.columns < columns:
            requests.append(_properties(sheet.id, {"columnCount": columns}))
            sheet = replace(sheet, columns=columns)
        if sheet.rows < len(table.cells):
            requests.append(_properties(sheet.id, {"rowCount": rows}))
            requests += _formats(table, sheet.id, sheet.rows)
            sheet = replace(sheet, rows=rows)
        after[table.title] = sheet
    return requests, after


def values(table: Table, found: Sequence[Sequence[Any]]) -> dict[str, Any] | None:
    """One range of a values write that turns `found` into the table; None when they are the same.

    `found` is the table's columns as read, unformatted. Rows that vanished become blank as well.
    """
    width = len(table.columns)
    wanted = [[_plain(cell) for cell in row] for row in table.cells]
    now = [[*row, *[""] * (width - len(row))] for row in found]
    while now and not any(cell != "" for cell in now[-1]):
        now.pop()
    if table.same(wanted, now):
        return None
    wanted += [[""] * width for _ in range(len(now) - len(wanted))]
    return {"range": own_range(table, rows=len(wanted)), "majorDimension": "ROWS", "values": wanted}


def own_range(table: Table, *, rows: int | None = None, columns: int = 26) -> str:
    """The table's first `rows` (or all) and `columns` in A1 notation; Google refuses more than the grid has."""
    last = min(len(table.columns), columns)
    return f"'{table.title}'!A1:{chr(ord('A') + last - 1)}{rows or ''}"


def look(table: Table, sheet: Sheet) -> list[Request]:
    """Requests that format a new worksheet, and that bring its chart up to date.

    A frozen header marks a worksheet as formatted: what people changed since then stays.
    """
    requests: list[Request] = []
    if not sheet.frozen:
        requests.append(_properties(sheet.id, {"frozenRowCount": 1}))
        requests += _formats(table, sheet.id, 0) + _widths(table, sheet.id)
        header = {"bold": True, "foregroundColor": to_rgb(HEADER_TEXT)}
        painted = {"backgroundColor": to_rgb(HEADER_FILL), "textFormat": header}
        requests.append(_paint(_area(sheet.id, 0, len(table.columns), 0, endRowIndex=1), painted))
        requests += _colours(table, sheet.id)
    if table.chart:
        requests += _chart(table, table.chart, sheet)
    return requests


def _plain(cell: Cell) -> int | float | str:
    """A cell as a RAW value: times as serial numbers (days since 1899-12-30), None as ''."""
    if cell is None:
        return ""
    if not isinstance(cell, date):
        return cell
    moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
    return (moment - _EPOCH) / timedelta(days=1)


def _properties(sheet_id: int, grid: dict[str, int]) -> Request:
    fields = ",".join(f"gridProperties.{name}" for name in grid)
    properties = {"sheetId": sheet_id, "gridProperties": grid}
    return {"updateSheetProperties": {"properties": properties, "fields": fields}}


def _area(sheet_id: int, column: int, columns: int = 1, first_row: int = 1, **end: int) -> dict[str, int]:
    return {
        "sheetId": sheet_id,
        "startRowIndex": first_row,
        "startColumnIndex": column,
        "endColumnIndex": column + columns,
        **end,
    }


def _paint(area: Mapping[str, int], look: Mapping[str, Any]) -> Request:
    fields = f"userEnteredFormat({','.join(look)})"
    return {"repeatCell": {"range": area, "cell": {"userEnteredFormat": look}, "fields": fields}}


def _formats(table: Table, sheet_id: int, first_row: int) -> list[Request]:
    left = {"horizontalAlignment": "LEFT", "padding": {"left": 10}}
    right = {"horizontalAlignment": "RIGHT"}
    requests = []
    for index, column in enumerate(table.columns):
        number_format = {"type": _TYPES.get(column.kind, "NUMBER"), "pattern": NUMBER_FORMATS[column.kind]}
        look = {"numberFormat": number_format, **(left if column.left else right)}
        requests.append(_paint(_area(sheet_id, index, first_row=first_row), look))
    return requests


def _widths(table: Table, sheet_id: int) -> list[Request]:
    place = {"sheetId": sheet_id, "dimension": "COLUMNS"}
    return [
        {
            "updateDimensionProperties": {
                "range": {**place, "startIndex": index, "endIndex": index + 1},
                "properties": {"pixelSize": column.pixels},
                "fields": "pixelSize",
            }
        }
        for index, column in enumerate(table.columns)
    ]


def _colours(table: Table, sheet_id: int) -> list[Request]:
    rules: list[dict[str, Any]] = []
    if table.shaded is not None:
        gradient = {
            point: {"type": "NUMBER", "value": str(value), "color": to_rgb(colour)}
            for point, (value, colour) in zip(("minpoint", "midpoint", "maxpoint"), SHADES, strict=True)
        }
        rules.append({"ranges": [_area(sheet_id, table.shaded)], "gradientRule": gradient})
    for formula, fill in table.marks:
        rule = {
            "condition": {"type": "CUSTOM_FORMULA", "values": [{"userEnteredValue": f"={formula}"}]},
            "format": {"backgroundColor": to_rgb(fill), "textFormat": {"bold": True}},
        }
        rules.append({"ranges": [_area(sheet_id, 0, len(table.columns))], "booleanRule": rule})
    return [{"addConditionalFormatRule": {"index": index, "rule": rule}} for index, rule in enumerate(rules)]


def _chart(table: Table, chart: Chart, sheet: Sheet) -> list[Request]:
    chart_id = _CHART_IDS + sheet.id % 1_000_000
    old = sheet.charts.get(chart_id)
    if old is None:
        if sheet.frozen:  # people removed it
            return []
        anchor = {"sheetId": sheet.id, "rowIndex": 1, "columnIndex": len(table.columns) + _BEFORE_CHART}
        position = {"overlayPosition": {"anchorCell": anchor, "widthPixels": 1_000, "heightPixels": 420}}
        return [{"addChart": {"chart": {"chartId": chart_id, "spec": _spec(chart, sheet), "position": position}}}]
    new = _reaching(old, sheet)
    if str(old.get("title", "")).startswith(chart.name):
        new["title"] = chart.title
    return [] if new == old else [{"updateChartSpec": {"chartId": chart_id, "spec": new}}]


def _spec(chart: Chart, sheet: Sheet) -> dict[str, Any]:
    def source(column: int) -> dict[str, Any]:
        return {"sourceRange": {"sources": [_area(sheet.id, column, first_row=0, endRowIndex=sheet.rows)]}}

    return {
        "title": chart.title,
        "basicChart": {
            "chartType": "LINE",
            "legendPosition": "BOTTOM_LEGEND",
            "headerCount": 1,
            "domains": [{"domain": source(0)}],
            "series": [
                {"series": source(column), "targetAxis": "LEFT_AXIS", "color": to_rgb(colour)}
                for column, colour in chart.lines
            ],
        },
    }


def _reaching(spec: Any, sheet: Sheet) -> Any:
    """The chart, as people left it, with its ranges on this worksheet stretched to the last row."""
    if isinstance(spec, list):
        return [_reaching(part, sheet) for part in spec]
    if not isinstance(spec, Mapping):
        return spec
    new = {name: _reaching(part, sheet) for name, part in spec.items()}
    if new.get("sheetId", 0) == sheet.id and "endColumnIndex" in new and "endRowIndex" in new:
        new["endRowIndex"] = max(new["endRowIndex"], sheet.rows)
    return new

"""A Google spreadsheet as the Sheets API v4 shows it, as far as a spreadsheet program needs it.

Keeps worksheets with values, number formats, header formats, widths, conditional rules and charts; applies a
batchUpdate as a whole or not at all; refuses what lies outside of a grid. Faults can be planted at any
request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

_A1 = re.compile(
    r"(?:'(?P<quoted>(?:[^']|'')+)'|(?P<plain>\w+))!(?P<c1>[A-Z]+)(?P<r1>\d+)(?::(?P<c2>[A-Z]+)(?P<r2>\d*))?"
)
_NUMBER_FORMATS = {"TEXT", "NUMBER", "PERCENT", "DATE", "DATE_TIME"}
_SHEET_FIELDS = {
    "title": "title",
    "gridProperties.rowCount": "rows",
    "gridProperties.columnCount": "columns",
    "gridProperties.frozenRowCount": "frozen",
    "gridProperties.hideGridlines": "no_gridlines",
}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Worksheet:
    """One tab."""

    id: int
    title: str
    rows: int = 1000
    columns: int = 26
    frozen: int = 0
    no_gridlines: bool = False
    cells: dict[tuple[int, int], Any] = field(default_factory=dict)
    painted: list[tuple[tuple[int, int, int, int], dict[str, Any]]] = field(default_factory=list)
    widths: dict[int, int] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    charts: dict[int, dict[str, Any]] = field(default_factory=dict)
    protected: list[dict[str, Any]] = field(default_factory=list)

    def format_at(self, row: int, column: int) -> dict[str, Any]:
        """The format of a cell: everything painted over it, the latest on top."""
        over: dict[str, Any] = {}
        for (top, left, bottom, right), paint in self.painted:
            if top <= row < bottom and left <= column < right:
                over = {**over, **paint} if paint else {}
        return over

    def values(self, columns: int | None = None) -> list[list[Any]]:
        """The values as a reader sees them, without trailing blanks."""
        return self.area(0, 0, self.rows, columns or self.columns)

    def area(self, top: int, left: int, bottom: int, right: int) -> list[list[Any]]:
        """Values of a part of the grid; trailing blank cells and rows left off, as the API does."""
        rows = []
        last = max((row for row, _ in self.cells), default=-1)
        for row in range(top, min(bottom, last + 1)):
            cells = [self.cells.get((row, column), "") for column in range(left, right)]
            while cells and cells[-1] == "":
                cells.pop()
            rows.append(cells)
        while rows and not rows[-1]:
            rows.pop()
        return rows


@dataclass
class Google:
    """The emulator's state, what was asked of it, and the faults it is to show."""

    spreadsheet: str = "1AbC-spreadsheet_id"
    sheets: list[Worksheet] = field(default_factory=lambda: [Worksheet(0, "Sheet1")])
    editor: bool = True
    to_strangers: tuple[int, str] = (401, "")  # the status of an export without credentials, and its Location
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    faults: dict[int, Callable[[BaseHTTPRequestHandler, Callable[[], None]], None]] = field(default_factory=dict)
    seen: Callable[[], None] = lambda: None
    url: str = ""

    def sheet(self, title: str) -> Worksheet:
        """The worksheet of that name."""
        return next(sheet for sheet in self.sheets if sheet.title == title)

    # The API's methods, each: query or body -> answer.

    def get(self) -> dict[str, Any]:
        """spreadsheets.get, always with every field."""
        return {
            "spreadsheetId": self.spreadsheet,
            "sheets": [
                {
                    "properties": {
                        "sheetId": sheet.id,
                        "title": sheet.title,
                        "gridProperties": {
                            "rowCount": sheet.rows,
                            "columnCount": sheet.columns,
                            **({"frozenRowCount": sheet.frozen} if sheet.frozen else {}),
                        },
                    },
                    "charts": list(sheet.charts.values()),
                    "conditionalFormats": sheet.rules,
                    "protectedRanges": sheet.protected,
                }
                for sheet in self.sheets
            ],
        }

    def batch_get(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """values:batchGet."""
        return {
            "valueRanges": [
                {"range": text, "values": sheet.area(*box)}
                for text in query["ranges"]
                for sheet, box in [self._box(text)]
            ]
        }

    def batch_values(self, body: dict[str, Any]) -> dict[str, Any]:
        """values:batchUpdate; only RAW, and all ranges or none."""
        if body["valueInputOption"] != "RAW":
            raise Refused(400, "this emulator keeps what is written: RAW only")
        boxes = [(self._box(data["range"]), data["values"]) for data in body["data"]]
        for (_sheet, (top, left, bottom, right)), values in boxes:
            if len(values) > bottom - top or any(len(row) > right - left for row in values):
                raise Refused(400, "the values do not fit into the range")
        for (sheet, (top, left, _, _)), values in boxes:
            for row, cells in enumerate(values, start=top):
                for column, value in enumerate(cells, start=left):
                    if value == "":
                        sheet.cells.pop((row, column), None)
                    elif value is not None:
                        sheet.cells[row, column] = value
        return {"totalUpdatedSheets": len(boxes)}

    def batch_update(self, body: dict[str, Any]) -> dict[str, Any]:
        """spreadsheets.batchUpdate: every request or none of them."""
        if not body.get("requests"):
            raise Refused(400, "Must specify at least one request.")
        before = deepcopy(self.sheets)
        try:
            replies = [self._apply(*request.popitem()) for request in deepcopy(body["requests"])]
        except Refused:
            self.sheets = before
            raise
        return {"spreadsheetId": self.spreadsheet, "replies": replies}

    def _apply(self, kind: str, what: dict[str, Any]) -> dict[str, Any]:
        apply = getattr(self, f"_{re.sub('([A-Z])', lambda found: '_' + found[1].lower(), kind)}", None)
        if apply is None:
            raise Refused(400, f"Unknown name {kind!r}")
        return apply(what) or {}

    def _add_sheet(self, what: dict[str, Any]) -> None:
        new = what["properties"]
        self._free_title(new["title"])
        if any(sheet.id == new["sheetId"] for sheet in self.sheets):
            raise Refused(400, f"A sheet with the id {new['sheetId']} already exists.")
        index = new.get("index", len(self.sheets))
        if not 0 <= index <= len(self.sheets):
            raise Refused(400, "Sheet index is out of bounds.")
        grid = new["gridProperties"]
        self.sheets.insert(index, Worksheet(new["sheetId"], new["title"], grid["rowCount"], grid["columnCount"]))

    def _delete_sheet(self, what: dict[str, Any]) -> None:
        sheet = self._by_id(what)
        if len(self.sheets) == 1:
            raise Refused(400, "You can't remove all the sheets in a document.")
        self.sheets.remove(sheet)

    def _update_sheet_properties(self, what: dict[str, Any]) -> None:
        properties = what["properties"]
        sheet = self._by_id(properties)
        for name in what["fields"].split(","):
            value = properties
            for part in name.split("."):
                value = value[part]
            if name == "title":
                self._free_title(str(value), but=sheet)
            setattr(sheet, _SHEET_FIELDS[name], value)
        if sheet.frozen >= sheet.rows:
            raise Refused(400, "You can't freeze all visible rows on the sheet.")
        inside = {at: value for at, value in sheet.cells.items() if at[0] < sheet.rows and at[1] < sheet.columns}
        sheet.cells = inside

    def _free_title(self, title: str, but: Worksheet | None = None) -> None:
        """Titles are unique, whatever the case."""
        if not 0 < len(title) <= 100:
            raise Refused(400, "Invalid sheet name.")
        if any(sheet.title.lower() == title.lower() for sheet in self.sheets if sheet is not but):
            raise Refused(400, f"A sheet with the name {title!r} already exists. Please enter another name.")

    def _repeat_cell(self, what: dict[str, Any]) -> None:
        sheet, box = self._grid(what["range"])
        look = what["cell"].get("userEnteredFormat", {})
        named = re.fullmatch(r"userEnteredFormat(?:\((.*)\))?", what["fields"])
        if named is None or (named[1] is not None and set(named[1].split(",")) != set(look)):
            raise Refused(400, f"Invalid field: {what['fields']}")
        number_format = look.get("numberFormat")
        if number_format and (number_format["type"] not in _NUMBER_FORMATS or number_format["pattern"] == "General"):
            raise Refused(400, f"Invalid number format: {number_format}")
        sheet.painted.append((box, look))

    def _update_dimension_properties(self, what: dict[str, Any]) -> None:
        sheet = self._by_id(what["range"])
        if what["range"]["endIndex"] > sheet.columns:
            raise Refused(400, "range.endIndex is beyond the grid")
        sheet.widths[what["range"]["startIndex"]] = what["properties"]["pixelSize"]

    def _add_conditional_format_rule(self, what: dict[str, Any]) -> None:
        sheet, _ = self._grid(what["rule"]["ranges"][0])
        sheet.rules.insert(what["index"], what["rule"])

    def _add_chart(self, what: dict[str, Any]) -> None:
        chart = what["chart"]
        anchor = chart["position"]["overlayPosition"]["anchorCell"]
        sheet = self._by_id(anchor)
        if not 0 <= anchor["columnIndex"] < sheet.columns or not 0 <= anchor["rowIndex"] < sheet.rows:
            raise Refused(400, "Invalid requests: addChart: the anchor is outside the grid")
        if any(chart["chartId"] in other.charts for other in self.sheets):
            raise Refused(400, "Invalid requests: addChart")
        self._sources(chart["spec"])
        sheet.charts[chart["chartId"]] = chart

    def _update_chart_spec(self, what: dict[str, Any]) -> None:
        self._sources(what["spec"])
        found = [sheet for sheet in self.sheets if what["chartId"] in sheet.charts]
        if not found:
            raise Refused(400, "No chart with that id")
        found[0].charts[what["chartId"]]["spec"] = what["spec"]

    def _delete_embedded_object(self, what: dict[str, Any]) -> None:
        found = [sheet for sheet in self.sheets if what["objectId"] in sheet.charts]
        if not found:
            raise Refused(400, f"There is no object with id {what['objectId']}")
        del found[0].charts[what["objectId"]]

    def _find_replace(self, what: dict[str, Any]) -> dict[str, Any]:
        assert what["allSheets"]
        assert what["matchEntireCell"]
        hits = [(sheet, at) for sheet in self.sheets for at, value in sheet.cells.items() if value == what["find"]]
        for sheet, at in hits:
            sheet.cells[at] = what["replacement"]
        return {"findReplace": {"occurrencesChanged": len(hits)} if hits else {}}

    def _sources(self, spec: dict[str, Any]) -> None:
        basic = spec["basicChart"]
        for part in [
            *(entry["domain"] for entry in basic["domains"]),
            *(entry["series"] for entry in basic["series"]),
        ]:
            _, (_, left, _, right) = self._grid(part["sourceRange"]["sources"][0])
            if (bottom := part["sourceRange"]["sources"][0].get("endRowIndex")) is None or bottom < 1:
                raise Refused(400, "a chart needs rows")
            if right - left != 1:
                raise Refused(400, "ChartSourceRange ranges require all rows or all columns to have length of 1")

    def _by_id(self, where: dict[str, Any]) -> Worksheet:
        for sheet in self.sheets:
            if sheet.id == where.get("sheetId", 0):
                return sheet
        raise Refused(400, "No grid with that id")

    def _grid(self, where: dict[str, Any]) -> tuple[Worksheet, tuple[int, int, int, int]]:
        sheet = self._by_id(where)
        box = (
            where.get("startRowIndex", 0),
            where.get("startColumnIndex", 0),
            where.get("endRowIndex", sheet.rows),
            where.get("endColumnIndex", sheet.columns),
        )
        if box[2] > sheet.rows or box[3] > sheet.columns or box[0] > box[2] or box[1] >= box[3]:
            raise Refused(400, "GridRange exceeds grid limits")
        return sheet, box

    def _box(self, text: str) -> tuple[Worksheet, tuple[int, int, int, int]]:
        found = _A1.fullmatch(text)
        title = (found["quoted"] or found["plain"]).replace("''", "'").lower() if found else ""
        titles = [sheet for sheet in self.sheets if sheet.title.lower() == title]
        if not found or not titles:
            raise Refused(400, f"Unable to parse range: {text}")
        bottom = int(found["r2"]) if found["r2"] else titles[0].rows
        right = _column(found["c2"] or found["c1"])
        if bottom > titles[0].rows or right > titles[0].columns:
            raise Refused(400, f"Range ({text}) exceeds grid limits.")
        return titles[0], (int(found["r1"]) - 1, _column(found["c1"]) - 1, bottom, right)


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number

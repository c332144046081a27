"""The requests that bring a spreadsheet from what it holds to what it should hold. Pure functions.

Rows and columns of the API's ranges count from 0 and their ends are excluded:
https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/request
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any

from gspread.utils import convert_hex_to_colors_dict as to_rgb
from gspread.utils import rowcol_to_a1

from orchestration.deliver.columns import Kind
from orchestration.deliver.sheet.contents import (
    HEADER_FILL,
    HEADER_TEXT,
    LOOKS,
    NUMBER_FORMATS,
    QUIET_TEXT,
    SHADES,
    Cell,
    Change,
    Chart,
    Page,
    Piece,
    State,
    Table,
    count_cells,
    is_wrapped,
)
from orchestration.deliver.sheet.summary_page import CHART_GAP, CHART_HEIGHT, CHART_TOP
from orchestration.deliver.sheet.tables import Tables

Request = dict[str, Any]
Grid = Sequence[Sequence[Any]]

FIELDS = (
    "sheets(properties(sheetId,title,gridProperties(rowCount,columnCount,frozenRowCount)),"
    "charts(chartId,spec),protectedRanges(warningOnly,requestingUserCanEdit))"
)
"""What is read of a spreadsheet before anything is written: no cells."""

_EPOCH = datetime(1899, 12, 30)
_ROWS_AHEAD = 1_000
_FIRST_COLUMNS = 26
_FIRST_ID, _FIRST_CHART_ID = 71_000_000, 73_000_001
_EARLIER_CHART_ID = 72_000_000
# On a screen of 1366 x 768 pixels a browser leaves about 1,240 x 440 for the cells and the charts beside them.
_CHART_WIDTH = 600
_TYPES: dict[Kind, str] = {"date": "DATE", "time": "DATE_TIME", "share": "PERCENT", "text": "TEXT", "flag": "TEXT"}


@dataclass(frozen=True)
class Sheet:
    """A worksheet as it is: its grid's size, and the specification of each chart by id."""

    id: int
    rows: int
    columns: int
    frozen: bool
    locked: bool
    charts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def read_sheets(spreadsheet: Mapping[str, Any]) -> dict[str, Sheet]:
    """The worksheets in an answer of `spreadsheets.get`, by title, in their order; no rows without a grid."""
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


def places(tables: Tables, sheets: Mapping[str, Sheet]) -> dict[str, str]:
    """Where each of our worksheets, wanted or withdrawn, may stand now: its title -> the one it has there.

    One that bears its title of another language counts when there is none with its own.
    """
    titles = {title.casefold(): title for title in sheets}  # Google tells no capital from a small letter
    found = {}
    for content in (*tables, *tables.withdrawn):
        there = [titles[name.casefold()] for name in content.names if name.casefold() in titles]
        if there:
            found[content.title] = there[0]
    return found


def own_range(title: str, columns: int, rows: int | None = None) -> str:
    """The first `rows` (or all) of so many columns in A1 notation; Google refuses more than the grid has."""
    letters = rowcol_to_a1(1, columns).rstrip("1")
    return f"'{title.replace(chr(39), chr(39) * 2)}'!A1:{letters}{rows or ''}"


@dataclass
class Plan:
    """What a delivery has to do: `structure` first, then `values`, ranges of one write."""

    structure: list[Request]
    values: list[Request]
    changes: list[Change]


def plan(tables: Tables, sheets: Mapping[str, Sheet], found: Mapping[str, Grid]) -> Plan:
    """All that makes a spreadsheet hold `tables`, from its worksheets and the values `found` in them.

    `found` is by our titles; it has whole worksheets of those withdrawn. The values of all worksheets
    are one write. The page's formats come just before it, so that a write that fails is repeated with
    its formats. Once its header is frozen, a table counts as formatted: what people changed since stays.
    """
    made = Plan([], [], [])
    after = _Arrangement(sheets, places(tables, sheets))
    for content in tables:
        after.take_place(content, found.get(content.title, ()))
    made.structure += after.requests
    for content in tables:
        now = _padded(found.get(content.title, ()) if content.title not in after.new else (), content.width)
        sheet = after.sheets[content.title]
        wanted = [[_plain(cell) for cell in row] for row in content.cells]
        state = after.state_of(content.title)
        made.changes.append(count_cells(content, wanted, now, state, lambda cell: cell in ("", None)))
        grown, requests = _grown(content, sheet)
        made.structure += requests
        if not sheet.frozen:
            made.structure += _dressed(content, sheet.id)
        if not content.same(wanted, now):
            blank = [[""] * content.width] * (len(now) - len(wanted))
            if isinstance(content, Page):
                made.structure += _page_formats(content, sheet.id)
            size = own_range(content.title, content.width, max(len(wanted), len(now)))
            made.values.append({"range": size, "majorDimension": "ROWS", "values": wanted + blank})
        after.sheets[content.title] = grown
    daily = after.sheets[tables.daily.title]
    for content in tables:
        made.structure += _charts(content.charts, after.sheets[content.title], daily, content.width)
    if not after.sheets[tables.summary.title].frozen:
        made.structure += _without_earlier_chart(daily)
    for content in tables.withdrawn:
        if (there := after.places.get(content.title)) is not None:
            _withdraw(content, there, after.sheets[there], found.get(content.title, ()), made)
    return made


class _Arrangement:
    """The worksheets as they come to be, in their order, and the requests for that."""

    def __init__(self, sheets: Mapping[str, Sheet], found: dict[str, str]) -> None:
        self.sheets = dict(sheets)
        self.order = list(sheets)
        self.places = found
        self.new: set[str] = set()
        self.renamed: set[str] = set()
        self.requests: list[Request] = []
        self._placed: list[str] = []

    def state_of(self, title: str) -> State:
        """How the worksheet of that title changes as a whole."""
        return "new" if title in self.new else "renamed" if title in self.renamed else "kept"

    def take_place(self, content: Table | Page, found: Grid) -> None:
        """Let the worksheet be there under its title: renamed, or new beside its neighbours."""
        title, there = content.title, self.places.get(content.title)
        if there is not None and not content.is_ours(found):
            if there.casefold() == title.casefold():
                taken = {name.casefold() for name in self.sheets}
                names = (f"{there} ({number})" for number in count(2))
                self._rename(there, next(name for name in names if name.casefold() not in taken))
            there = None
        if there is None:
            self._add(content)
        elif there != title:
            self._rename(there, title)
            self.renamed.add(title)
        self._placed.append(title)

    def _rename(self, old: str, new: str) -> None:
        self.sheets[new] = self.sheets.pop(old)
        self.order[self.order.index(old)] = new
        properties = {"sheetId": self.sheets[new].id, "title": new}
        self.requests.append({"updateSheetProperties": {"properties": properties, "fields": "title"}})

    def _add(self, content: Table | Page) -> None:
        """After the one that comes before it in our order; the first one comes first of all."""
        index = self.order.index(self._placed[-1]) + 1 if self._placed else 0
        taken = {other.id for other in self.sheets.values()}
        free_id = next(number for number in count(_FIRST_ID) if number not in taken)
        columns = max(content.width, _FIRST_COLUMNS)
        sheet = Sheet(free_id, _rows_for(content), columns, frozen=False, locked=False)
        grid = {"rowCount": sheet.rows, "columnCount": columns}
        properties = {"sheetId": free_id, "title": content.title, "index": index, "gridProperties": grid}
        self.requests.append({"addSheet": {"properties": properties}})
        self.sheets[content.title] = sheet
        self.order.insert(index, content.title)
        self.new.add(content.title)


def _rows_for(content: Table | Page) -> int:
    return _ROWS_AHEAD * (len(content.cells) // _ROWS_AHEAD + 1)


def _grown(content: Table | Page, sheet: Sheet) -> tuple[Sheet, list[Request]]:
    """The worksheet with room for its content. New rows get their number formats at once: no reader sees
    a date as a number. Nothing shrinks.
    """
    requests: list[Request] = []
    columns = content.width + (1 if content.charts else 0)
    if sheet.columns < columns:
        requests.append(_grid_properties(sheet.id, {"columnCount": columns}))
        sheet = replace(sheet, columns=columns)
    if sheet.rows < len(content.cells):
        rows = _rows_for(content)
        requests.append(_grid_properties(sheet.id, {"rowCount": rows}))
        if isinstance(content, Table):
            requests += _formats(content, sheet.id, sheet.rows)
        sheet = replace(sheet, rows=rows)
    return sheet, requests


def _withdraw(content: Table, there: str, sheet: Sheet, found: Grid, made: Plan) -> None:
    """Remove a worksheet of ours; where people added something, only our columns' values."""
    cells = sum(cell != "" for row in found for cell in row[: content.width])
    if not cells or not content.is_ours(found):
        return
    if sheet.charts or any(cell != "" for row in found for cell in row[content.width :]):
        width = min(content.width, sheet.columns)
        area = own_range(there, width, len(found))
        made.values.append({"range": area, "majorDimension": "ROWS", "values": [[""] * width] * len(found)})
        made.changes.append(Change(content.title, removed=cells))
    else:
        made.structure.append({"deleteSheet": {"sheetId": sheet.id}})
        made.changes.append(Change(content.title, removed=cells, worksheet="removed"))


def _padded(found: Grid, width: int) -> list[list[Any]]:
    rows = [[*row[:width], *[""] * (width - len(row))] for row in found]
    while rows and not any(cell != "" for cell in rows[-1]):
        rows.pop()
    return rows


def _plain(cell: Cell) -> int | float | str:
    """A cell as a RAW value: times as serial numbers (days since 1899-12-30), None as ''."""
    if cell is None:
        return ""
    if not isinstance(cell, date):
        return cell
    moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
    return (moment - _EPOCH) / timedelta(days=1)


def _grid_properties(sheet_id: int, grid: dict[str, Any]) -> Request:
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


def _number_format(kind: Kind, pattern: str = "") -> dict[str, Any]:
    """What a cell's look says of numbers; nothing for those that are shown as they are."""
    if kind == "plain":
        return {}
    return {"numberFormat": {"type": _TYPES.get(kind, "NUMBER"), "pattern": pattern or NUMBER_FORMATS[kind]}}


def _formats(table: Table, sheet_id: int, first_row: int) -> list[Request]:
    left = {"horizontalAlignment": "LEFT", "padding": {"left": 10}}
    right = {"horizontalAlignment": "RIGHT"}
    return [
        _paint(
            _area(sheet_id, index, first_row=first_row),
            {
                **_number_format(column.kind),
                **(left if column.left else right),
                **({"wrapStrategy": "WRAP"} if is_wrapped(column) else {}),
                "verticalAlignment": "TOP",
            },
        )
        for index, column in enumerate(table.columns)
    ]


def _dressed(content: Table | Page, sheet_id: int) -> list[Request]:
    """What a worksheet gets once: widths, a frozen first line; a table's header, formats and colours."""
    grid: dict[str, Any] = {"frozenRowCount": 1}
    requests = _widths(content, sheet_id)
    if isinstance(content, Page):
        return [*requests, _grid_properties(sheet_id, {**grid, "hideGridlines": True})]
    requests += [_grid_properties(sheet_id, grid), *_formats(content, sheet_id, 1)]
    header = {
        "backgroundColor": to_rgb(HEADER_FILL),
        "textFormat": {"bold": True, "foregroundColor": to_rgb(HEADER_TEXT)},
        "verticalAlignment": "MIDDLE",
        "wrapStrategy": "WRAP",
    }
    for index, column in enumerate(content.columns):
        aligned = {"horizontalAlignment": "LEFT", "padding": {"left": 10}}
        painted = {**header, **(aligned if column.left else {"horizontalAlignment": "RIGHT"})}
        requests.append(_paint(_area(sheet_id, index, 1, 0, endRowIndex=1), painted))
    return requests + _colours(content, sheet_id)


def _widths(content: Table | Page, sheet_id: int) -> list[Request]:
    place = {"sheetId": sheet_id, "dimension": "COLUMNS"}
    return [
        {
            "updateDimensionProperties": {
                "range": {**place, "startIndex": index, "endIndex": index + 1},
                "properties": {"pixelSize": pixels},
                "fields": "pixelSize",
            }
        }
        for index, pixels in enumerate(content.widths)
    ]


def _colours(table: Table, sheet_id: int) -> list[Request]:
    rules: list[dict[str, Any]] = []
    if table.shaded is not None:
        gradient = {
            point: {"type": "NUMBER", "value": str(value), "color": to_rgb(colour)}
            for point, (value, colour) in zip(("minpoint", "midpoint", "maxpoint"), SHADES, strict=True)
        }
        rules.append({"ranges": [_area(sheet_id, table.shaded)], "gradientRule": gradient})
    for mark in table.marks:
        look: dict[str, Any] = {"textFormat": {"foregroundColor": to_rgb(QUIET_TEXT)}}
        if mark.fill:
            look = {"backgroundColor": to_rgb(mark.fill), "textFormat": {"bold": True}}
        rule = {
            "condition": {"type": "CUSTOM_FORMULA", "values": [{"userEnteredValue": f"={mark.formula}"}]},
            "format": look,
        }
        rules.append({"ranges": [_area(sheet_id, 0, table.width)], "booleanRule": rule})
    return [{"addConditionalFormatRule": {"index": index, "rule": rule}} for index, rule in enumerate(rules)]


def _page_formats(page: Page, sheet_id: int) -> list[Request]:
    """Every format of the page: its columns are cleared, then each run of like cells is painted."""
    area = {"sheetId": sheet_id, "startColumnIndex": 0, "endColumnIndex": page.width}
    requests: list[Request] = [{"repeatCell": {"range": area, "cell": {}, "fields": "userEnteredFormat"}}]
    columns: dict[tuple[int, int, str], list[int]] = {}
    looks: dict[str, dict[str, Any]] = {}
    for column in range(page.width):
        first = 0
        described = [_described(line[column]) for line in page.lines]
        for row, look in enumerate(described):
            if row + 1 == len(described) or described[row + 1] != look:
                looks[str(look)] = look
                columns.setdefault((first, row + 1, str(look)), []).append(column)
                first = row + 1
    for (first, end, name), alike in columns.items():
        for start in (column for column in alike if column - 1 not in alike):
            width = next(number for number in count(1) if start + number not in alike)
            if looks[name]:
                requests.append(_paint(_area(sheet_id, start, width, first, endRowIndex=end), looks[name]))
    return requests


def _described(piece: Piece) -> dict[str, Any]:
    """The format of a cell of the page."""
    look = LOOKS[piece.style]
    if piece.value is None and not look.fill:
        return {}
    letters: dict[str, Any] = {"fontSize": look.size, "bold": look.bold}
    if look.colour:
        letters["foregroundColor"] = to_rgb(look.colour)
    painted: dict[str, Any] = {
        **_number_format(piece.kind, piece.pattern),
        "textFormat": letters,
        "horizontalAlignment": "LEFT" if piece.left else "RIGHT",
    }
    if look.fill:
        painted["backgroundColor"] = to_rgb(look.fill)
    return painted


def _charts(charts: Sequence[Chart], sheet: Sheet, source: Sheet, columns: int) -> list[Request]:
    """Requests for a worksheet's charts: added with it, then kept up to date; one that people removed stays away."""
    requests: list[Request] = []
    for number, chart in enumerate(charts):
        chart_id = _FIRST_CHART_ID + number
        old = sheet.charts.get(chart_id)
        if old is not None:
            new = _reaching(old, chart, source)
            if chart.is_named(str(old.get("title", ""))):
                new["title"] = chart.title
            if new != old:
                requests.append({"updateChartSpec": {"chartId": chart_id, "spec": new}})
        elif not sheet.frozen:
            place = {
                "anchorCell": {"sheetId": sheet.id, "rowIndex": 0, "columnIndex": columns},
                "offsetXPixels": 10,
                "offsetYPixels": CHART_TOP + number * (CHART_HEIGHT + CHART_GAP),
                "widthPixels": _CHART_WIDTH,
                "heightPixels": CHART_HEIGHT,
            }
            drawn = {"chartId": chart_id, "spec": _spec(chart, source), "position": {"overlayPosition": place}}
            requests.append({"addChart": {"chart": drawn}})
    return requests


def _spec(chart: Chart, source: Sheet) -> dict[str, Any]:
    def cells(column: int) -> dict[str, Any]:
        rows = {"startRowIndex": chart.first_row - 1, "endRowIndex": chart.last_row}
        return {"sourceRange": {"sources": [_area(source.id, column) | rows]}}

    axis: dict[str, Any] = {"position": "LEFT_AXIS"}
    if chart.kind != "share":
        axis["viewWindowOptions"] = {"viewWindowMin": 0, "viewWindowMode": "EXPLICIT"}
    return {
        "title": chart.title,
        "titleTextFormat": {"fontSize": 11, "bold": True},
        "basicChart": {
            "chartType": "LINE",
            "legendPosition": "NO_LEGEND",
            "headerCount": 0,
            "axis": [axis],
            "domains": [{"domain": cells(0)}],
            "series": [{"series": cells(chart.column), "targetAxis": "LEFT_AXIS", "color": to_rgb(chart.colour)}],
        },
    }


def _reaching(spec: Any, chart: Chart, source: Sheet) -> Any:
    """The chart, as people left it, with its ranges on the source at the newest rows."""
    if isinstance(spec, list):
        return [_reaching(part, chart, source) for part in spec]
    if not isinstance(spec, Mapping):
        return spec
    new = {name: _reaching(part, chart, source) for name, part in spec.items()}
    if new.get("sheetId", 0) == source.id and "endColumnIndex" in new and "endRowIndex" in new:
        new |= {"startRowIndex": chart.first_row - 1, "endRowIndex": chart.last_row}
    return new


def _without_earlier_chart(daily: Sheet) -> list[Request]:
    """The chart that earlier versions drew beside the days; the page has it now."""
    earlier = _EARLIER_CHART_ID + daily.id % 1_000_000
    return [{"deleteEmbeddedObject": {"objectId": earlier}}] if earlier in daily.charts else []

"""How the workbook's worksheets look: formatted once, when new; only the chart follows the rows."""

import math
from typing import Any

from openpyxl.chart import LineChart, Reference
from openpyxl.chart.axis import ChartLines, DateAxis
from openpyxl.chart.legend import Legend
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.drawing.line import LineProperties
from openpyxl.formatting.rule import ColorScaleRule, FormulaRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from orchestration.deliver.sheet.tables import HEADER_FILL, HEADER_TEXT, SHADES, Chart, Table

LEFT = Alignment(horizontal="left", vertical="center", indent=1)
RIGHT = Alignment(horizontal="right", vertical="center")
_LAST_ROW = 1_048_576
_PIXELS_A_CHARACTER = 7
_MOST_LABELS = 13


def is_formatted(sheet: Worksheet) -> bool:
    """Whether the worksheet was formatted already: its header row is frozen."""
    return sheet.freeze_panes is not None


def format_new(sheet: Worksheet, table: Table) -> None:
    """Freeze and colour the header; set widths, conditional colours and wide pages."""
    sheet.freeze_panes = "A2"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.row_dimensions[1].height = 22
    for index, column in enumerate(table.columns, start=1):
        header = sheet.cell(1, index)
        header.font = Font(name="Calibri", size=11, bold=True, color=HEADER_TEXT)
        header.fill = PatternFill("solid", fgColor=HEADER_FILL)
        header.alignment = LEFT if column.left else RIGHT
        sheet.column_dimensions[get_column_letter(index)].width = column.pixels / _PIXELS_A_CHARACTER
    if table.shaded is not None:
        letter = get_column_letter(table.shaded + 1)
        (low, red), (middle, yellow), (high, green) = SHADES
        rule = ColorScaleRule(  # type: ignore[no-untyped-call]
            start_type="num", start_value=low, start_color=red,
            mid_type="num", mid_value=middle, mid_color=yellow,
            end_type="num", end_value=high, end_color=green,
        )  # fmt: skip
        sheet.conditional_formatting.add(f"{letter}2:{letter}{_LAST_ROW}", rule)
    last = get_column_letter(len(table.columns))
    for formula, colour in table.marks:
        fill = PatternFill("solid", bgColor=colour)
        rule = FormulaRule(formula=[formula], fill=fill, font=Font(bold=True))  # type: ignore[no-untyped-call]
        sheet.conditional_formatting.add(f"A2:{last}{_LAST_ROW}", rule)


def has_its_chart(sheet: Worksheet, table: Table) -> bool:
    """Whether the worksheet's chart, unless people removed it, has the right title."""
    if table.chart is None:
        return True
    old = _own_chart(sheet, table.chart)
    return old is None or _title(old) == table.chart.title


def draw_chart(sheet: Worksheet, table: Table, *, new: bool) -> None:
    """Draw the chart, or redraw it where people moved it; one that they removed stays away."""
    if table.chart is None:
        return
    old = _own_chart(sheet, table.chart)
    if old is None and not new:
        return
    chart = _line_chart(sheet, table, table.chart)
    chart.anchor = f"{get_column_letter(len(table.columns) + 4)}2"
    if old is not None:
        chart.anchor = old.anchor
        _charts(sheet).remove(old)
    sheet.add_chart(chart)


def _charts(sheet: Worksheet) -> list[Any]:
    charts: list[Any] = sheet._charts  # type: ignore[attr-defined] # openpyxl offers no other way to its charts
    return charts


def _own_chart(sheet: Worksheet, chart: Chart) -> Any:
    return next((old for old in _charts(sheet) if _title(old).startswith(chart.name)), None)


def _title(chart: Any) -> str:
    try:
        return "".join(run.t for paragraph in chart.title.tx.rich.p for run in paragraph.r or ())
    except AttributeError:
        return ""


def _line_chart(sheet: Worksheet, table: Table, wanted: Chart) -> LineChart:
    last = max(len(table.rows) + 1, 2)
    chart = LineChart()
    chart.title = wanted.title
    chart.width, chart.height = 30, 13
    chart.legend = Legend()
    chart.legend.position = "b"
    chart.x_axis = DateAxis(crossAx=100)
    chart.x_axis.number_format = "d mmm yy"
    chart.x_axis.tickLblPos = "low"
    chart.x_axis.baseTimeUnit = chart.x_axis.majorTimeUnit = "days"
    chart.x_axis.majorUnit = 7 * math.ceil(len(table.rows) / (7 * _MOST_LABELS))
    lines = GraphicalProperties(ln=LineProperties(solidFill="DDDDDD"))
    chart.y_axis.majorGridlines = ChartLines(spPr=lines)
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.y_axis.crossAx = 500
    chart.y_axis.number_format = "#,##0"
    chart.y_axis.scaling.min = 0
    for column, colour in wanted.lines:
        chart.add_data(Reference(sheet, min_col=column + 1, min_row=1, max_row=last), titles_from_data=True)
        line = chart.series[-1]
        line.smooth = False
        line.marker.symbol = "none"
        line.graphicalProperties.line.solidFill = colour
        line.graphicalProperties.line.width = 22_000
    chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=last))
    return chart

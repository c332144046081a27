"""How the workbook's worksheets look: tables once, when new; the page's cells and the charts with each change."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from openpyxl.chart import LineChart, Reference
from openpyxl.chart.axis import ChartLines, DateAxis
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText
from openpyxl.chart.title import title_maker
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, OneCellAnchor
from openpyxl.drawing.text import CharacterProperties, Paragraph, ParagraphProperties
from openpyxl.drawing.xdr import XDRPositiveSize2D
from openpyxl.formatting.rule import ColorScaleRule, FormulaRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter, quote_sheetname
from openpyxl.utils.units import pixels_to_EMU
from openpyxl.workbook import Workbook as Book
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from orchestration.deliver.columns import Column
from orchestration.deliver.sheet.contents import (
    HEADER_FILL,
    HEADER_TEXT,
    LOOKS,
    QUIET_TEXT,
    SHADES,
    Chart,
    Page,
    Piece,
    Table,
    is_wrapped,
)
from orchestration.deliver.sheet.summary_page import CHART_GAP, CHART_HEIGHT, CHART_TOP

LEFT = Alignment(horizontal="left", vertical="top", indent=1)
WRAPPED = Alignment(horizontal="left", vertical="top", indent=1, wrap_text=True)
RIGHT = Alignment(horizontal="right", vertical="top")
_LAST_ROW = 1_048_576
_PIXELS_A_CHARACTER = 7
_MOST_LABELS = 5
# Columns are as wide as the font makes them: where Calibri is missing, up to 1.4 times what they should be. The
# charts beside them are on a screen of 1366 x 768 pixels even then.
_CHART_WIDTH = 405
_EARLIER_CHART = "Attempts, correct submits and unique users a day"


def is_formatted(sheet: Worksheet) -> bool:
    """Whether the worksheet was formatted already: its first row is frozen."""
    return sheet.freeze_panes is not None


def prepare(sheet: Worksheet, content: Table | Page) -> None:
    """What a worksheet gets once: widths, a frozen first row, wide pages; a table's header and colours."""
    sheet.freeze_panes = "A2"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    for index, pixels in enumerate(content.widths, start=1):
        sheet.column_dimensions[get_column_letter(index)].width = pixels / _PIXELS_A_CHARACTER
    if isinstance(content, Page):
        sheet.sheet_view.showGridLines = False
        return
    sheet.print_title_rows = "1:1"
    sheet.row_dimensions[1].height = 32
    for index, column in enumerate(content.columns, start=1):
        header = sheet.cell(1, index)
        header.font = Font(name="Calibri", size=11, bold=True, color=HEADER_TEXT)
        header.fill = PatternFill("solid", fgColor=HEADER_FILL)
        aligned = LEFT if column.left else RIGHT
        header.alignment = Alignment(aligned.horizontal, "center", indent=aligned.indent, wrap_text=True)
    _colour(sheet, content)


def _colour(sheet: Worksheet, table: Table) -> None:
    if table.shaded is not None:
        letter = get_column_letter(table.shaded + 1)
        (low, red), (middle, yellow), (high, green) = SHADES
        rule = ColorScaleRule(  # type: ignore[no-untyped-call]
            start_type="num", start_value=low, start_color=red,
            mid_type="num", mid_value=middle, mid_color=yellow,
            end_type="num", end_value=high, end_color=green,
        )  # fmt: skip
        sheet.conditional_formatting.add(f"{letter}2:{letter}{_LAST_ROW}", rule)
    last = get_column_letter(table.width)
    for mark in table.marks:
        look: dict[str, Any] = {"font": Font(color=QUIET_TEXT)}
        if mark.fill:
            look = {"fill": PatternFill("solid", bgColor=mark.fill), "font": Font(bold=True)}
        rule = FormulaRule(formula=[mark.formula], **look)  # type: ignore[no-untyped-call]
        sheet.conditional_formatting.add(f"A2:{last}{_LAST_ROW}", rule)


def height_of(values: Sequence[object], columns: Sequence[Column]) -> float | None:
    """The height that a row's wrapped texts need, in points; None for the usual one.

    Programs that open the file don't all find it out by themselves.
    """
    lines = max(
        math.ceil(len(str(value)) * _PIXELS_A_CHARACTER / column.pixels)
        for value, column in zip(values, columns, strict=True)
        if is_wrapped(column)
    )
    return None if lines < 2 else 15.0 * lines


def paint(cell: Any, piece: Piece) -> None:
    """Give a cell of the page its whole format."""
    look = LOOKS[piece.style]
    colour = "1155CC" if piece.link else look.colour
    cell.font = Font(
        name="Calibri", size=look.size, bold=look.bold, color=colour, underline="single" if piece.link else None
    )
    cell.fill = PatternFill("solid", fgColor=look.fill) if look.fill else PatternFill()
    cell.number_format = piece.pattern
    cell.alignment = Alignment("left" if piece.left else "right", "center")


def charts_of(sheet: Worksheet) -> list[Any]:
    """The worksheet's charts; adding and removing is done in this list."""
    charts: list[Any] = sheet._charts  # type: ignore[attr-defined] # openpyxl offers no other way to its charts
    return charts


def has_its_charts(sheet: Worksheet, charts: Sequence[Chart]) -> bool:
    """Whether the worksheet's charts, but for those that people removed, have the right title and rows."""
    for chart in charts:
        old = _own_chart(sheet, chart)
        if old is not None and not (_title(old) == chart.title and _shown(old) == _ranges(chart)):
            return False
    return True


def draw_charts(sheet: Worksheet, content: Table | Page, source: str, *, new: bool) -> None:
    """Draw the charts, or redraw them where people moved them; one that they removed stays away."""
    for number, chart in enumerate(content.charts):
        old = _own_chart(sheet, chart)
        if old is None and not new:
            continue
        drawn = _line_chart(sheet.parent[source], chart)  # type: ignore[index]
        if old is not None:
            drawn.anchor = old.anchor
            charts_of(sheet).remove(old)
        else:
            place = _anchor(content.width, CHART_TOP + number * (CHART_HEIGHT + CHART_GAP))
            drawn.anchor = place  # type: ignore[assignment] # openpyxl takes a cell's name or an anchor
        sheet.add_chart(drawn)


def remove_earlier_chart(daily: Worksheet) -> None:
    """The chart that earlier versions drew beside the days; the page has it now."""
    charts = charts_of(daily)
    charts[:] = [chart for chart in charts if not _title(chart).startswith(_EARLIER_CHART)]


def rename(book: Book, sheet: Worksheet, title: str) -> None:
    """Give a worksheet another title, in the formulas and charts that refer to it as well."""
    named = re.compile(rf"(?<![\w'.]){re.escape(_reference(sheet.title))}|{re.escape(quote_sheetname(sheet.title))}!")
    sheet.title = title
    reference = _reference(title)

    def renamed(text: str) -> str:
        return named.sub(lambda _: reference, text)

    for other in book.worksheets:
        for cells in other.iter_rows():
            for cell in cells:
                if cell.data_type == "f" and isinstance(cell.value, str):
                    cell.value = renamed(cell.value)
        for source in _sources(other):
            source.f = renamed(source.f)


def _reference(title: str) -> str:
    """How a formula refers to a worksheet: in quotes, which plain names may go without."""
    return f"{title if re.fullmatch(r'[A-Za-z_][A-Za-z0-9_]*', title) else quote_sheetname(title)}!"


def _sources(sheet: Worksheet) -> Iterator[Any]:
    """The references of the worksheet's charts."""
    for chart in charts_of(sheet):
        for series in chart.series:
            for data in (series.val, series.cat, getattr(series, "xVal", None), getattr(series, "yVal", None)):
                for kind in ("numRef", "strRef"):
                    if getattr(data, kind, None) is not None:
                        yield getattr(data, kind)
            if series.tx is not None and series.tx.strRef is not None:
                yield series.tx.strRef


def _own_chart(sheet: Worksheet, chart: Chart) -> Any:
    return next((old for old in charts_of(sheet) if chart.is_named(_title(old))), None)


def _title(chart: Any) -> str:
    try:
        return "".join(run.t for paragraph in chart.title.tx.rich.p for run in paragraph.r or ())
    except AttributeError:
        return ""


def _ranges(chart: Chart) -> tuple[str, str]:
    """The dates and the values that a chart shows, as formulas."""
    letters = (get_column_letter(column + 1) for column in (0, chart.column))
    dates, values = (
        f"{quote_sheetname(chart.source)}!${letter}${chart.first_row}:${letter}${chart.last_row}" for letter in letters
    )
    return dates, values


def _shown(chart: Any) -> tuple[str, str] | None:
    try:
        (series,) = chart.series
        return series.cat.numRef.f, series.val.numRef.f
    except (AttributeError, ValueError):
        return None


def _anchor(column: int, top: int) -> OneCellAnchor:
    """A place right of so many columns and `top` pixels below the sheet's edge."""
    corner = AnchorMarker(col=column, colOff=pixels_to_EMU(10), row=0, rowOff=0)  # type: ignore[no-untyped-call]
    corner.row, below = divmod(top, 20)
    corner.rowOff = pixels_to_EMU(below)  # type: ignore[no-untyped-call]
    size = XDRPositiveSize2D(pixels_to_EMU(_CHART_WIDTH), pixels_to_EMU(CHART_HEIGHT))  # type: ignore[no-untyped-call]
    return OneCellAnchor(_from=corner, ext=size)


def _letters(size: int, *, bold: bool = False) -> RichText:
    letters = CharacterProperties(sz=size * 100, b=bold, solidFill="4A5763")
    return RichText(p=[Paragraph(pPr=ParagraphProperties(defRPr=letters), endParaRPr=letters)])


def _heading(text: str) -> Any:
    title: Any = title_maker(text)
    title.tx.rich.p[0].pPr = ParagraphProperties(defRPr=CharacterProperties(sz=1_000, b=True))
    return title


def _line_chart(source: Worksheet, wanted: Chart) -> LineChart:
    chart = LineChart()
    chart.title = _heading(wanted.title)
    chart.legend = None
    chart.x_axis = DateAxis(crossAx=100)
    chart.x_axis.number_format = "d mmm"
    chart.x_axis.tickLblPos = "low"
    chart.x_axis.baseTimeUnit = chart.x_axis.majorTimeUnit = "days"
    days = wanted.last_row - wanted.first_row + 1
    chart.x_axis.majorUnit = 7 * math.ceil(days / (7 * _MOST_LABELS))
    chart.y_axis.majorGridlines = ChartLines(spPr=GraphicalProperties(ln=LineProperties(solidFill="DDDDDD")))
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.x_axis.txPr = chart.y_axis.txPr = _letters(9)
    chart.y_axis.crossAx = 500
    chart.y_axis.number_format = "0%" if wanted.kind == "share" else "#,##0"
    if wanted.kind != "share":
        chart.y_axis.scaling.min = 0
    first, last = wanted.first_row, wanted.last_row
    chart.add_data(Reference(source, min_col=wanted.column + 1, min_row=first, max_row=last))
    (line,) = chart.series
    line.smooth = False
    line.marker.symbol = "none"
    line.graphicalProperties.line.solidFill = wanted.colour
    line.graphicalProperties.line.width = 22_000
    chart.set_categories(Reference(source, min_col=1, min_row=first, max_row=last))
    return chart

"""A workbook file that stands in for the Google spreadsheet: same worksheets, formats and charts.

The file is opened and only the program's own cells are rewritten. People's cells, formulas, notes,
charts and pictures survive that; what openpyxl does not know (shapes, text boxes) does not.
"""

import logging
import os
from collections.abc import Iterable
from datetime import date, datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook import Workbook as Book
from openpyxl.worksheet.worksheet import Worksheet

from orchestration.deliver import DeliveryError
from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import Column
from orchestration.deliver.files import check_writable, write_whole
from orchestration.deliver.sheet.contents import (
    NUMBER_FORMATS,
    Cell,
    Change,
    Page,
    Piece,
    State,
    Table,
    count_cells,
    is_wrapped,
)
from orchestration.deliver.sheet.tables import Tables
from orchestration.deliver.sheet.workbook_look import (
    LEFT,
    RIGHT,
    WRAPPED,
    charts_of,
    draw_charts,
    has_its_charts,
    height_of,
    is_formatted,
    paint,
    prepare,
    remove_earlier_chart,
    rename,
)
from orchestration.summary import Delivery

log = logging.getLogger(__name__)


class Workbook:
    """The `.xlsx` file at `path`; made when missing, untouched when it holds the tables already."""

    name = mark("Spreadsheet")

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def target(self) -> str:
        return str(self._path)

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the file to hold `tables`. After a DeliveryError it is as it was."""
        words = tables.words
        book = self._open(or_set_aside=True)
        if not any(changed for _, changed in _rewrite_all(book, tables)):
            detail = words.text("{days}, already up to date", days=tables.days)
            return Delivery(self.name, True, self.target, detail)
        _show_first(book, tables)
        write_whole(self._path, book.save)
        detail = words.text("{days} written to a file (no Google spreadsheet is configured)", days=tables.days)
        return Delivery(self.name, True, self.target, detail)

    def preview(self, tables: Tables) -> list[Change]:
        """What `deliver` would change; changes nothing. Raises DeliveryError."""
        return [change for change, _ in _rewrite_all(self._open(or_set_aside=False), tables)]

    def check(self) -> str:
        check_writable(self._path.parent, "the workbook")
        return f"the figures go to the workbook {self._path}"

    def _open(self, or_set_aside: bool) -> Book:
        try:
            return openpyxl.load_workbook(self._path, rich_text=True)
        except FileNotFoundError:
            return _empty()
        except PermissionError as error:
            reason = error.strerror
        # What openpyxl raises for files that are no workbooks.
        except (InvalidFileException, BadZipFile, OSError, KeyError, ValueError, TypeError, SyntaxError) as error:
            return self._set_aside(error) if or_set_aside else _empty()
        raise DeliveryError(f"cannot read {self._path}: {reason}")

    def _set_aside(self, why: Exception) -> Book:
        """Keep a file that is no workbook under another name, and start a new one."""
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        aside = self._path.with_name(f"{self._path.stem}.unreadable-{stamp}{self._path.suffix}")
        os.replace(self._path, aside)
        log.warning("%s is not a readable workbook (%s): kept as %s, a new one is made", self._path, why, aside.name)
        return _empty()


def _empty() -> Book:
    book = Book()
    book.remove(book.worksheets[0])
    return book


def _rewrite_all(book: Book, tables: Tables) -> list[tuple[Change, bool]]:
    """Bring the book to hold `tables`; returns for each worksheet what changed, and whether anything did."""
    placed: list[tuple[Table | Page, Worksheet, State]] = []
    for content in tables:
        placed.append((content, *_place(book, content, placed[-1][1] if placed else None)))
    if not is_formatted(placed[0][1]):
        remove_earlier_chart(book[tables.daily.title])
    done = [_rewrite(sheet, content, state, tables) for content, sheet, state in placed]
    for content in tables.withdrawn:
        if (found := _find(book, content)) is not None and content.is_ours(_found(found)):
            done += _withdraw(book, found, content)
    return done


def _find(book: Book, content: Table | Page) -> Worksheet | None:
    """The worksheet of that name, or else of its name in another language."""
    sheets = {sheet.title.casefold(): sheet for sheet in book.worksheets}
    return next((sheets[name.casefold()] for name in content.names if name.casefold() in sheets), None)


def _place(book: Book, content: Table | Page, before: Worksheet | None) -> tuple[Worksheet, State]:
    """The content's worksheet, renamed, or a new one beside its neighbour, and which of these it is."""
    sheet = _find(book, content)
    if sheet is not None and not content.is_ours(_found(sheet)):
        if sheet.title.casefold() == content.title.casefold():
            taken = {title.casefold() for title in book.sheetnames}
            names = (f"{sheet.title} ({number})" for number in count(2))
            rename(book, sheet, next(name for name in names if name.casefold() not in taken))
        sheet = None
    if sheet is None:
        index = 0 if before is None else book.index(before) + 1
        new: Worksheet = book.create_sheet(content.title, index)
        return new, "new"
    if sheet.title != content.title:
        rename(book, sheet, content.title)
        return sheet, "renamed"
    return sheet, "kept"


def _show_first(book: Book, tables: Tables) -> None:
    """Have the book open on its first page, whichever was looked at last."""
    book.active = book.sheetnames.index(tables.summary.title)
    for sheet in book.worksheets:
        sheet.sheet_view.tabSelected = sheet.title == tables.summary.title


def _rewrite(sheet: Worksheet, content: Table | Page, state: State, tables: Tables) -> tuple[Change, bool]:
    """Bring a worksheet to hold `content`, in its columns only."""
    new = not is_formatted(sheet)
    found = _padded(_found(sheet, content.width))
    wanted = [[_plain(cell) for cell in row] for row in content.cells]
    change = count_cells(content, wanted, found, state, lambda cell: cell is None)
    charts_stand = new or has_its_charts(sheet, content.charts)
    if change.is_none and not new and charts_stand:
        return change, False
    if new:
        prepare(sheet, content)
    if not content.same(wanted, found):
        if isinstance(content, Page):
            _write_page(sheet, content)
        else:
            _write_table(sheet, content)
    draw_charts(sheet, content, tables.daily.title, new=new)
    return change, True


def _write_table(sheet: Worksheet, table: Table) -> None:
    for row, values in enumerate(table.cells, start=1):
        for column, value in enumerate(values, start=1):
            _put(sheet.cell(row, column), value, table.columns[column - 1] if row > 1 else None)
        if row > 1 and any(map(is_wrapped, table.columns)):
            sheet.row_dimensions[row].height = height_of(values, table.columns)
    for cells in sheet.iter_rows(min_row=len(table.rows) + 2, max_col=table.width):
        _clear(cells)


def _write_page(sheet: Worksheet, page: Page) -> None:
    """All its cells with their formats: none is left of what stood there before."""
    nothing = (Piece(None),) * page.width
    for row in range(1, max(len(page.lines), sheet.max_row) + 1):
        line = page.lines[row - 1] if row <= len(page.lines) else nothing
        for column, piece in enumerate(line, start=1):
            cell = sheet.cell(row, column)
            _put(cell, piece.value, None, piece.link)
            paint(cell, piece)
        sheet.row_dimensions[row].height = None


def _withdraw(book: Book, sheet: Worksheet, content: Table) -> Iterable[tuple[Change, bool]]:
    """Remove a worksheet of ours; where people added something, only our columns."""
    own = [cell for cells in sheet.iter_rows(max_col=content.width) for cell in cells if cell.value is not None]
    if not own:
        return
    beside = sheet.iter_rows(min_col=content.width + 1, values_only=True) if sheet.max_column > content.width else ()
    if charts_of(sheet) or any(value is not None for row in beside for value in row):
        _clear(own)
        yield Change(content.title, removed=len(own)), True
    else:
        book.remove(sheet)
        yield Change(content.title, removed=len(own), worksheet="removed"), True


def _clear(cells: Iterable[Any]) -> None:
    for cell in cells:
        cell.value = None
        if cell.hyperlink is not None:
            cell.hyperlink = None


def _put(cell: Any, value: Cell, column: Column | None, link: str | None = None) -> None:
    """Write a cell of `column` (of the header or the page without one); keep an alignment that it has."""
    cell.value = value
    if column:
        cell.number_format = NUMBER_FORMATS[column.kind]
        if cell.alignment.horizontal is None:
            cell.alignment = WRAPPED if is_wrapped(column) else LEFT if column.left else RIGHT
        if column.name == "lms_url":
            link = str(value) if value else None
    if cell.hyperlink is not None or link:
        cell.hyperlink = link
    if isinstance(value, str):  # openpyxl would take one that begins with = for a formula
        cell.data_type = "s"
        cell.quotePrefix = value[:1] in {"=", "+", "-", "@"}


def _found(sheet: Worksheet, columns: int | None = None) -> list[tuple[Any, ...]]:
    """The worksheet's cells as `_plain` has them, in so many columns or all."""
    return [tuple(map(_plain, row)) for row in sheet.iter_rows(max_col=columns, values_only=True)]


def _padded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    while rows and not any(value is not None for value in rows[-1]):
        rows.pop()
    return rows


def _plain(value: Any) -> Any:
    """A cell's value as the file gives it back: dates come as midnights, empty texts as nothing."""
    if isinstance(value, datetime):
        return value.replace(microsecond=0)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, str):
        return str(value) or None
    return value

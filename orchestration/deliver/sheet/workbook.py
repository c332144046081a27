"""A workbook file that stands in for the Google spreadsheet: same worksheets, formats and chart.

The file is opened and only the program's own cells are rewritten. People's cells, formulas, notes,
charts and pictures survive that; what openpyxl does not know (shapes, text boxes) does not.
"""

import logging
import os
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook import Workbook as Book
from openpyxl.worksheet.worksheet import Worksheet

from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import Column
from orchestration.deliver.files import check_writable, write_whole
from orchestration.deliver.sheet.tables import NUMBER_FORMATS, Cell, Table, Tables
from orchestration.deliver.sheet.workbook_look import LEFT, draw_chart, format_new, has_its_chart, is_formatted
from orchestration.summary import Delivery

log = logging.getLogger(__name__)


class Workbook:
    """The `.xlsx` file at `path`; made when missing, untouched when it holds the tables already."""

    name = "Spreadsheet"

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def target(self) -> str:
        return str(self._path)

    def deliver(self, tables: Tables) -> Delivery:
        """Bring the file to hold `tables`. After a DeliveryError it is as it was."""
        book = self._open()
        changed = [_rewrite(book, table) for table in tables]
        rows = f"{len(tables.daily.rows):,} days"
        if not any(changed):
            return Delivery(self.name, True, self.target, f"{rows}, already up to date")
        write_whole(self._path, book.save)
        return Delivery(self.name, True, self.target, f"{rows} written to a file (no Google spreadsheet is configured)")

    def check(self) -> str:
        check_writable(self._path.parent, "the workbook")
        return f"the figures go to the workbook {self._path}"

    def _open(self) -> Book:
        try:
            return openpyxl.load_workbook(self._path, rich_text=True)
        except FileNotFoundError:
            return _empty()
        except PermissionError as error:
            reason = error.strerror
        # What openpyxl raises for files that are no workbooks.
        except (InvalidFileException, BadZipFile, OSError, KeyError, ValueError, TypeError, SyntaxError) as error:
            return self._set_aside(error)
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


def _rewrite(book: Book, table: Table) -> bool:
    """Bring a worksheet to hold `table`, in its columns only; returns whether anything changed."""
    sheet: Worksheet = book[table.title] if table.title in book.sheetnames else book.create_sheet(table.title)
    new = not is_formatted(sheet)
    if not new and _same(sheet, table) and has_its_chart(sheet, table):
        return False
    if new:
        format_new(sheet, table)
    draw_chart(sheet, table, new=new)
    for row, values in enumerate(table.cells, start=1):
        for column, value in enumerate(values, start=1):
            _put(sheet.cell(row, column), value, table.columns[column - 1] if row > 1 else None)
    for cells in sheet.iter_rows(min_row=len(table.rows) + 2, max_col=len(table.columns)):
        for cell in cells:
            cell.value = None
    return True


def _put(cell: Any, value: Cell, column: Column | None) -> None:
    """Write a cell of `column` (of the header without one); keep an alignment that it has."""
    cell.value = value
    if column:
        cell.number_format = NUMBER_FORMATS[column.kind]
        if column.left and cell.alignment.horizontal is None:
            cell.alignment = LEFT
    if isinstance(value, str):  # openpyxl would take one that begins with = for a formula
        cell.data_type = "s"
        cell.quotePrefix = value[:1] in {"=", "+", "-", "@"}


def _same(sheet: Worksheet, table: Table) -> bool:
    found = [tuple(map(_plain, row)) for row in sheet.iter_rows(max_col=len(table.columns), values_only=True)]
    while found and not any(value is not None for value in found[-1]):
        found.pop()
    return table.same([tuple(map(_plain, row)) for row in table.cells], found)


def _plain(value: Any) -> Any:
    """A cell's value as the file gives it back: dates come as midnights, empty texts as nothing."""
    if isinstance(value, datetime):
        return value.replace(microsecond=0)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, str):
        return str(value) or None
    return value

"""What a worksheet is to both writers: plain cells, how they look, charts. No spreadsheet is touched here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from orchestration.deliver.columns import Column, Kind

Cell = date | datetime | int | float | str | None
Row = tuple[Cell, ...]

NUMBER_FORMATS: dict[Kind, str] = {
    "date": "yyyy-mm-dd",
    "time": "yyyy-mm-dd hh:mm",
    "count": "#,##0",
    "decimal": "0.0",
    "share": "0.0%",
    "plain": "General",
    "text": "@",
    "flag": "@",
}
"""Patterns that Google Sheets and Excel read alike."""

HEADER_FILL, HEADER_TEXT = "1F3A5F", "FFFFFF"
NOTICE_FILL, HEADING_FILL, QUIET_TEXT = "FFE3A3", "DCE6F2", "8A8F98"
SHADES = ((0, "F4B6B0"), (0.5, "FDF3CF"), (1, "A9D8B0"))
"""The colour, as RRGGBB, at each value; between them it changes gradually."""
WRAPPED_FROM = 600  # pixels


@dataclass(frozen=True)
class Look:
    """How a cell of the page looks; colours as RRGGBB."""

    fill: str | None = None
    colour: str | None = None
    bold: bool = False
    size: int = 10


Style = Literal[
    "title", "normal", "unusual", "suspect", "no_history", "notice", "heading", "head", "cell", "quiet", "odd", "bad"
]
LOOKS: dict[Style, Look] = {
    "title": Look(HEADER_FILL, HEADER_TEXT, bold=True, size=14),
    "normal": Look("CFEBD3", "1B5E2B", bold=True, size=12),
    "unusual": Look("FFE3A3", "7A4B00", bold=True, size=12),
    "suspect": Look("F6C1BB", "8C1D13", bold=True, size=12),
    "no_history": Look("E6EAEE", "3E4954", bold=True, size=12),
    "notice": Look("FFF6DD", "7A4B00", bold=True),
    "heading": Look(None, HEADER_FILL, bold=True, size=12),
    "head": Look(HEADING_FILL, HEADER_FILL, bold=True),
    "cell": Look(),
    "quiet": Look(None, QUIET_TEXT),
    "odd": Look("FFE3A3", "7A4B00", bold=True),
    "bad": Look("F6C1BB", "8C1D13", bold=True),
}
"""Verdicts on a day have the style of their name; `odd` and `bad` are figures that left their band."""


@dataclass(frozen=True)
class Chart:
    """A line over the newest rows of another worksheet, its dates in the first column.

    `names` are its title in every language; it is known by them. Rows count from 1, `last_row` included.
    """

    title: str
    names: tuple[str, ...]
    source: str
    column: int
    kind: Kind
    first_row: int
    last_row: int
    colour: str

    def is_named(self, title: str) -> bool:
        """Whether that is the title of this chart, in any language, with or without a remark after it."""
        return title.startswith(self.names)


@dataclass(frozen=True)
class Mark:
    """Rows for which a formula, written for row 2, holds: a fill, or grey letters without one."""

    formula: str
    fill: str | None = None


def is_wrapped(column: Column) -> bool:
    """Whether long texts of the column run on to further lines of their cell."""
    return column.kind == "text" and column.pixels >= WRAPPED_FROM


@dataclass(frozen=True)
class Table:
    """A worksheet that is one table: a header row, then `rows`; times are the report zone's.

    `names` are the worksheet's title in this language, then in the others; `headers` are those of all
    columns, in all languages. The cells of the column `shaded` are coloured by SHADES. `unstable` names rows (by
    their first cell) that may differ without making the worksheet out of date.
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    header: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    headers: frozenset[str] = frozenset()
    shaded: int | None = None
    marks: tuple[Mark, ...] = ()
    unstable: frozenset[str] = frozenset()
    takes_over: bool = False
    charts: tuple[Chart, ...] = field(default=(), init=False)

    @property
    def title(self) -> str:
        return self.names[0]

    @property
    def width(self) -> int:
        return len(self.columns)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the columns, in pixels."""
        return tuple(column.pixels for column in self.columns)

    @property
    def cells(self) -> tuple[Row, ...]:
        return (self.header, *self.rows)

    def is_ours(self, found: Sequence[Sequence[object]]) -> bool:
        """Whether a worksheet of this title that reads as `found` was written by us, or is empty.

        People may have had a worksheet of that name before we did, with some headers like ours.
        """
        if self.takes_over or _is_empty(found):
            return True
        return 2 * sum(str(cell) in self.headers for cell in found[0][: self.width]) >= self.width

    def same(self, wanted: Sequence[Sequence[object]], found: Sequence[Sequence[object]]) -> bool:
        """Whether a worksheet that reads as `found` holds `wanted`: `cells` as it would return them."""
        return len(wanted) == len(found) and all(
            all(map(same_cell, new, old)) or (new[0] == old[0] and new[0] in self.unstable)
            for new, old in zip(wanted, found, strict=True)
        )


@dataclass(frozen=True)
class Piece:
    """A cell of the page."""

    value: Cell
    style: Style = "cell"
    kind: Kind = "text"
    link: str | None = None
    number_format: str | None = None

    @property
    def pattern(self) -> str:
        """Its number format; a day has its weekday here."""
        usual = "ddd, yyyy-mm-dd" if self.kind == "date" else NUMBER_FORMATS[self.kind]
        return self.number_format or usual

    @property
    def left(self) -> bool:
        return self.kind in ("text", "date")


@dataclass(frozen=True)
class Page:
    """A worksheet of blocks, one below the other; all its columns are ours, their formats too.

    It has some of the `headers` in its first column, whatever the day. `charts` stand right of the columns.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    lines: tuple[tuple[Piece, ...], ...]
    headers: frozenset[str]
    charts: tuple[Chart, ...] = ()

    @property
    def title(self) -> str:
        return self.names[0]

    @property
    def width(self) -> int:
        return len(self.widths)

    @property
    def cells(self) -> tuple[Row, ...]:
        return tuple(tuple(piece.value for piece in line) for line in self.lines)

    def is_ours(self, found: Sequence[Sequence[object]]) -> bool:
        """As a table's."""
        return _is_empty(found) or any(str(row[0]) in self.headers for row in found if row)

    def same(self, wanted: Sequence[Sequence[object]], found: Sequence[Sequence[object]]) -> bool:
        """As a table's."""
        return len(wanted) == len(found) and all(
            all(map(same_cell, new, old)) for new, old in zip(wanted, found, strict=True)
        )


State = Literal["kept", "new", "renamed", "removed"]
"""What becomes of a worksheet as a whole."""


@dataclass(frozen=True)
class Change:
    """How many cells of a worksheet a delivery would fill, overwrite and empty."""

    title: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    worksheet: State = "kept"

    @property
    def is_none(self) -> bool:
        return self.worksheet == "kept" and not (self.added or self.changed or self.removed)


def count_cells(
    content: Table | Page,
    wanted: Sequence[Sequence[object]],
    found: Sequence[Sequence[object]],
    worksheet: State,
    is_blank: Callable[[object], bool],
) -> Change:
    """What it takes to turn `found`, padded to the content's width, into `wanted`."""
    if content.same(wanted, found):
        return Change(content.title, worksheet=worksheet)
    added = changed = removed = 0
    blank = [None] * content.width
    for row in range(max(len(wanted), len(found))):
        pairs = zip(wanted[row] if row < len(wanted) else blank, found[row] if row < len(found) else blank, strict=True)
        for new, old in pairs:
            if is_blank(new) or is_blank(old):
                added += not is_blank(new)
                removed += not is_blank(old)
            else:
                changed += not same_cell(new, old)
    return Change(content.title, added, changed, removed, worksheet)


def same_cell(new: object, old: object) -> bool:
    """Whether two cells are the same; fractions may differ in the last digits that spreadsheets keep."""
    if isinstance(new, float) and isinstance(old, int | float):
        return math.isclose(new, old, rel_tol=1e-12)
    return new == old


def _is_empty(found: Sequence[Sequence[object]]) -> bool:
    return not any(cell not in (None, "") for row in found for cell in row)

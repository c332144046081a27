"""What the deliveries show, read from the marts in one snapshot."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse, exists
from orchestration.deliver.columns import DAILY
from orchestration.summary import LoadCounts

MAX_RECEIPTS = 4_000
"""Newest loads shown: more than ten years of one a day, and far from any spreadsheet's limits."""

RECEIPTS = f"""
    select _dlt_load_id, loaded_at, fetched, accepted, repeated, rejected, rejected_by_reason
    from marts.load_receipts order by loaded_at desc, _dlt_load_id desc limit {MAX_RECEIPTS}
"""  # noqa: S608
# dbt writes its descriptions into the warehouse as comments (persist_docs).
COMMENTS = """
    select relation.relname, attribute.attname, col_description(relation.oid, attribute.attnum)
    from pg_class as relation
    inner join pg_attribute as attribute on relation.oid = attribute.attrelid
    where relation.relnamespace = to_regnamespace('marts')
        and col_description(relation.oid, attribute.attnum) is not null
"""

Number = int | float | None


@dataclass(frozen=True)
class Day:
    """One row of `marts.daily_metrics`: `values` by column name, without `activity_date`."""

    date: date
    values: Mapping[str, Number]


@dataclass(frozen=True)
class Receipt:
    """One row of `marts.load_receipts`; a record with several reasons counts under each of them."""

    load_id: str
    loaded_at: datetime
    counts: LoadCounts


@dataclass(frozen=True)
class Figures:
    """The marts in one snapshot. `days` oldest first, `receipts` newest first.

    `as_of_day` is the last full day, as `marts.as_of` defines it. `descriptions` are the columns'.
    """

    zone: ZoneInfo
    days: tuple[Day, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    as_of_day: date | None = None
    descriptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def loaded_at(self) -> datetime | None:
        """When the newest data was loaded (aware, in `zone`); None before the first load."""
        return max((receipt.loaded_at for receipt in self.receipts), default=None)

    @property
    def last_full_day(self) -> Day | None:
        """The as-of day; None before the first load."""
        return self._back(0)

    @property
    def day_before(self) -> Day | None:
        return self._back(1)

    @property
    def week_before(self) -> Day | None:
        """The same weekday a week before the last full day."""
        return self._back(7)

    @property
    def last_30_days(self) -> tuple[Day, ...]:
        """Those known of the 30 calendar days that end with the last full day."""
        return tuple(day for back in reversed(range(30)) if (day := self._back(back)))

    def _back(self, days: int) -> Day | None:
        """That many days before the as-of day; None when nothing is known of it.

        The mart ends with the last attempt: what follows, up to the as-of day, are quiet days.
        """
        if self.as_of_day is None:
            return None
        wanted = self.as_of_day - timedelta(days=days)
        known = next((day for day in reversed(self.days) if day.date == wanted), None)
        after_the_last = bool(self.days) and self.days[-1].date < wanted
        if known is not None or not (days == 0 or after_the_last):
            return known
        return Day(wanted, {column.name: column.on_quiet_day for column in DAILY.columns[1:]})


def read_figures(warehouse: Warehouse, zone: ZoneInfo) -> Figures:
    """Read everything in one transaction; a mart that does not exist yet counts as empty.

    Raises WarehouseError.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, DAILY.names))
    days = sql.SQL("select {} from marts.daily_metrics order by activity_date").format(columns)
    with warehouse.session("grader-elt deliver") as cursor:
        cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        as_of = _rows(cursor, "marts.as_of", "select as_of_day from marts.as_of")
        return Figures(
            zone=zone,
            days=tuple(_day(row) for row in _rows(cursor, "marts.daily_metrics", days)),
            receipts=tuple(_receipt(row, zone) for row in _rows(cursor, "marts.load_receipts", RECEIPTS)),
            as_of_day=as_of[0][0] if as_of else None,
            descriptions=_descriptions(cursor),
        )


def _rows(cursor: Cursor, relation: str, query: str | sql.Composable) -> list[tuple[Any, ...]]:
    if not exists(cursor, relation):
        return []
    cursor.execute(query)
    return cursor.fetchall()


def _day(row: tuple[Any, ...]) -> Day:
    """A row of the mart; numbers keep the type that PostgreSQL gives them, numeric as float."""
    values = [float(value) if isinstance(value, Decimal) else value for value in row[1:]]
    return Day(row[0], dict(zip(DAILY.names[1:], values, strict=True)))


def _receipt(row: tuple[Any, ...], zone: ZoneInfo) -> Receipt:
    """Reasons most frequent first, then by name, so that the same load always reads the same."""
    ordered = sorted((row[6] or {}).items(), key=lambda item: (-item[1], item[0]))
    by_reason = {reason: count for reason, count in ordered if count}
    fetched, accepted, repeated, rejected = row[2:6]
    counts = LoadCounts(fetched, accepted, repeated, rejected, by_reason)
    return Receipt(row[0], row[1].astimezone(zone), counts)


def _descriptions(cursor: Cursor) -> dict[str, dict[str, str]]:
    """Mart -> column -> description, on one line and without Markdown's emphasis."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    cursor.execute(COMMENTS)
    for mart, column, text in cursor.fetchall():
        found[mart][column] = " ".join(text.replace("`", "").replace("**", "").split())
    return found

"""What the deliveries show, read from the marts in one look. Computed here: which day is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2 import sql

from orchestration.deliver import DeliveryError

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

DAILY_COLUMNS = (
    "activity_date",
    "attempts",
    "runs",
    "submits",
    "correct_submits",
    "success_rate",
    "unique_users",
    "attempts_per_user",
    "users_without_correct",
    "avg_attempts_to_first_correct",
    "new_users",
    "unique_users_7d",
    "unique_users_30d",
)
RATIO_COLUMNS = frozenset({"success_rate", "attempts_per_user", "avg_attempts_to_first_correct"})
MAX_RECEIPTS = 4_000
"""Newest loads shown: more than ten years of one a day, and far from any spreadsheet's limits."""

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
    fetched: int
    accepted: int
    repeated: int
    rejected: int
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """The marts as one reader saw them at one instant. `days` oldest first, `receipts` newest first."""

    zone: ZoneInfo
    days: tuple[Day, ...] = ()
    receipts: tuple[Receipt, ...] = ()

    @property
    def as_of(self) -> datetime | None:
        """When the newest data was loaded (aware, in `zone`); None before the first load."""
        return max((receipt.loaded_at for receipt in self.receipts), default=None)

    def day(self, wanted: date) -> Day | None:
        """The row of that calendar day, if the mart has one."""
        return next((day for day in reversed(self.days) if day.date == wanted), None)

    @property
    def last_full_day(self) -> Day | None:
        """The newest day that was over when the newest data was loaded."""
        if self.as_of is None:
            return self.days[-1] if self.days else None
        today = self.as_of.date()
        return next((day for day in reversed(self.days) if day.date < today), None)

    @property
    def day_before(self) -> Day | None:
        """The day before the last full day."""
        last = self.last_full_day
        return self.day(last.date - timedelta(days=1)) if last else None

    @property
    def week_before(self) -> Day | None:
        """The same weekday a week before the last full day."""
        last = self.last_full_day
        return self.day(last.date - timedelta(days=7)) if last else None

    @property
    def last_30_days(self) -> tuple[Day, ...]:
        """The up to 30 calendar days that end with the last full day."""
        last = self.last_full_day
        if last is None:
            return ()
        return tuple(day for day in self.days if last.date - timedelta(days=30) < day.date <= last.date)


def read_figures(warehouse: Warehouse, zone: ZoneInfo) -> Figures:
    """Read everything the deliveries show, in one repeatable-read transaction.

    A mart that does not exist yet counts as empty. Raises DeliveryError when the warehouse can't be read.
    """
    error: psycopg2.Error
    try:
        connection = warehouse.connect(application_name="grader-elt deliver")
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            days = _read_days(connection)
            return Figures(zone=zone, days=days, receipts=_read_receipts(connection, zone))
        finally:
            connection.close()
    except psycopg2.Error as caught:
        error = caught
    reason = " ".join(str(error).split()) or type(error).__name__
    raise DeliveryError(f"cannot read the marts at {warehouse.label}: {reason}")


def _read_days(connection: Any) -> tuple[Day, ...]:
    columns = sql.SQL(", ").join(map(sql.Identifier, DAILY_COLUMNS))
    query = sql.SQL("select {} from marts.daily_metrics order by activity_date").format(columns)
    return tuple(
        Day(
            row[0],
            {name: _number(name, value) for name, value in zip(DAILY_COLUMNS[1:], row[1:], strict=True)},
        )
        for row in _rows(connection, "marts.daily_metrics", query)
    )


def _read_receipts(connection: Any, zone: ZoneInfo) -> tuple[Receipt, ...]:
    query = sql.SQL(
        "select _dlt_load_id, loaded_at, fetched, accepted, repeated, rejected, rejected_by_reason"
        " from marts.load_receipts order by loaded_at desc, _dlt_load_id desc limit {}"
    ).format(sql.Literal(MAX_RECEIPTS))
    return tuple(
        Receipt(str(row[0]), row[1].astimezone(zone), row[2], row[3], row[4], row[5], _reasons(row[6]))
        for row in _rows(connection, "marts.load_receipts", query)
    )


def _rows(connection: Any, relation: str, query: sql.Composable) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", (relation,))
        if cursor.fetchone() == (None,):
            return []
        cursor.execute(query)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _number(column: str, value: int | float | Decimal | None) -> Number:
    if value is None:
        return None
    return float(value) if column in RATIO_COLUMNS else int(value)


def _reasons(value: Mapping[str, int] | None) -> dict[str, int]:
    """Most frequent first; ties in the order of their names, so that the same load always reads the same."""
    counts = {str(reason): int(count) for reason, count in (value or {}).items() if count}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def no_figures(zone: ZoneInfo) -> Figures:
    """Figures of a warehouse that can't be read: for the mail about that."""
    return Figures(zone=zone)


def as_local(moment: datetime, zone: ZoneInfo) -> datetime:
    """`moment` in `zone`; a naive one counts as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(zone)

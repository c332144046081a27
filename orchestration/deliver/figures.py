"""What the deliveries show, read from the marts in one snapshot."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse, exists, fetch_rows
from orchestration.deliver.catalogue import mark
from orchestration.deliver.columns import DAILY, Number, Row
from orchestration.deliver.queries import LEARNERS, QUERIES, Query
from orchestration.deliver.verdict import read_verdict
from orchestration.summary import DayVerdict, LoadCounts

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
    where relation.relnamespace in (to_regnamespace('marts'), to_regnamespace('learners'))
        and col_description(relation.oid, attribute.attnum) is not null
"""


# Asking for the relation by its name would fail without the privilege.
MAY_READ_LEARNERS = """
    select coalesce(has_schema_privilege(to_regnamespace('learners'), 'usage'), true) and not exists (
        select from pg_class as relation
        where relation.relnamespace = to_regnamespace('learners') and relation.relname = 'learner_courses'
            and not has_table_privilege(relation.oid, 'select')
    )
"""
NO_PRIVILEGE = mark(
    "this account may not read the schema learners, which SHARE_LEARNERS=1 needs: "
    "`grant grader_learners` to it (see `make roles`), or unset SHARE_LEARNERS"
)


QUIET_DAY: Mapping[str, Number] = {column.name: column.on_quiet_day for column in DAILY.columns[1:]}
"""The figures of a day without attempts."""


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

    `as_of_day` is the last full day, as `marts.as_of` defines it, `verdict` the one on it.
    `descriptions` are the columns'. What the other rows are is told in `queries`. `learners` are empty
    unless they were asked for; `learners_problem` says why they could not be read then.
    """

    zone: ZoneInfo
    days: tuple[Day, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    as_of_day: date | None = None
    verdict: DayVerdict | None = None
    descriptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bands: tuple[Row, ...] = ()
    movers: tuple[Row, ...] = ()
    incidents: tuple[Row, ...] = ()
    tasks: tuple[Row, ...] = ()
    courses: tuple[Row, ...] = ()
    weekly: tuple[Row, ...] = ()
    monthly: tuple[Row, ...] = ()
    course_days: tuple[Row, ...] = ()
    course_weeks: tuple[Row, ...] = ()
    revisions: tuple[Row, ...] = ()
    hours: tuple[Row, ...] = ()
    cohorts: tuple[Row, ...] = ()
    warnings: tuple[Row, ...] = ()
    periods: tuple[Row, ...] = ()
    learners: tuple[Row, ...] = ()
    learners_problem: str = ""

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
    def loads_of_last_full_day(self) -> tuple[LoadCounts, ...]:
        """Of what was loaded on the day after the last full one: with it that day's records came."""
        if self.as_of_day is None:
            return ()
        loaded_on = self.as_of_day + timedelta(days=1)
        return tuple(receipt.counts for receipt in self.receipts if receipt.loaded_at.date() == loaded_on)

    def last_days(self, count: int) -> tuple[Day, ...]:
        """Those known of the `count` calendar days that end with the last full day, oldest first."""
        return tuple(day for back in reversed(range(count)) if (day := self._back(back)))

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
        return Day(wanted, QUIET_DAY)


def read_figures(warehouse: Warehouse, zone: ZoneInfo, with_learners: bool = False) -> Figures:
    """Read everything in one transaction; a mart that does not exist yet counts as empty.

    Single learners are read only `with_learners`, and only by an account that may. Raises WarehouseError.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, DAILY.names))
    days = sql.SQL("select {} from marts.daily_metrics order by activity_date").format(columns)
    with warehouse.session("grader-elt deliver") as cursor:
        cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        may_see_learners = with_learners and _may_read_learners(cursor)
        queries = QUERIES | ({"learners": LEARNERS} if may_see_learners else {})
        as_of = _tuples(cursor, "marts.as_of", "select as_of_day from marts.as_of")
        return Figures(
            zone=zone,
            days=tuple(_day(row) for row in _tuples(cursor, "marts.daily_metrics", days)),
            receipts=tuple(_receipt(row, zone) for row in _tuples(cursor, "marts.load_receipts", RECEIPTS)),
            as_of_day=as_of[0][0] if as_of else None,
            verdict=read_verdict(cursor),
            descriptions=_descriptions(cursor),
            learners_problem=NO_PRIVILEGE if with_learners and not may_see_learners else "",
            **{name: tuple(_rows(cursor, query, zone)) for name, query in queries.items()},
        )


def _may_read_learners(cursor: Cursor) -> bool:
    """Whether this account may; so, too, before there is anything to read."""
    cursor.execute(MAY_READ_LEARNERS)
    return cursor.fetchall() == [(True,)]


def _tuples(cursor: Cursor, relation: str, query: str | sql.Composable) -> list[tuple[Any, ...]]:
    if not exists(cursor, relation):
        return []
    cursor.execute(query)
    return cursor.fetchall()


def _rows(cursor: Cursor, query: Query, zone: ZoneInfo) -> Iterator[Row]:
    if not all(exists(cursor, relation) for relation in query.relations):
        return
    cursor.execute(query.sql)
    for row in fetch_rows(cursor):
        yield {name: _value(value, zone) for name, value in row.items()}


def _value(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_value(part, zone) for part in value]
    return value.astimezone(zone) if isinstance(value, datetime) else value


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
    """Mart -> column -> description."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    cursor.execute(COMMENTS)
    for mart, column, text in cursor.fetchall():
        found[mart][column] = plain_description(text)
    return found


def plain_description(text: str) -> str:
    """One of dbt's descriptions on one line and without Markdown's emphasis."""
    return " ".join(text.replace("`", "").replace("**", "").split())

"""The windows that people asked for: `ops.periods`, from which the worksheet `Periods` is written.

They are kept in the warehouse, because any machine can be lost between two runs.
"""

from collections.abc import Mapping
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse, exists
from ingestion.windows import Window
from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import PERIODS

FIRST_YEAR, LAST_YEAR = 1901, 9998
METRICS = tuple(column for column in PERIODS.columns if column.kind != "time")


def keep_period(warehouse: Warehouse, window: Window, metrics: Mapping[str, Any]) -> None:
    """Store the metrics of `window`, in place of those of the last time it was asked for.

    Schema and table are made when missing. Raises DeliveryError.
    """
    if window.start.year < FIRST_YEAR or window.end.year > LAST_YEAR:
        raise DeliveryError(
            f"The metrics of {window} could not be kept for the worksheet Periods: "
            f"spreadsheets know the years {FIRST_YEAR} to {LAST_YEAR}."
        )
    columns = [column.name for column in METRICS]
    values = [metrics.get(name) for name in columns]
    statement = sql.SQL(
        "insert into ops.periods (window_start, window_end, computed_at, {columns})"
        " values (%s, %s, now(), {values})"
        " on conflict (window_start, window_end) do update set computed_at = excluded.computed_at, {updates}"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        updates=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns),
    )
    try:
        with warehouse.session("grader-elt periods") as cursor:
            _make(cursor)
            cursor.execute(statement, [window.start, window.end, *values])
        return
    except WarehouseError as error:
        problem = str(error)
    raise DeliveryError(f"The metrics of {window} could not be kept for the worksheet Periods. {problem}")


def _make(cursor: Cursor) -> None:
    """Make what is missing. `if not exists` would ask for the privilege even where nothing is."""
    cursor.execute("select to_regnamespace('ops') is null")
    if cursor.fetchall() == [(True,)]:
        cursor.execute("create schema if not exists ops")
    if not exists(cursor, "ops.periods"):
        columns = [
            sql.SQL("{} bigint" if column.kind == "count" else "{} double precision").format(
                sql.Identifier(column.name)
            )
            for column in METRICS
        ]
        cursor.execute(
            sql.SQL(
                "create table if not exists ops.periods (window_start timestamptz, window_end timestamptz, {},"
                " computed_at timestamptz not null, primary key (window_start, window_end))"
            ).format(sql.SQL(", ").join(columns))
        )

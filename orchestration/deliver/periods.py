"""The windows that people asked for: `ops.periods`, from which the worksheet `Periods` is written.

They are kept in the warehouse, because any machine can be lost between two runs.
"""

from collections.abc import Mapping
from typing import Any

from psycopg2 import sql

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration import ops
from orchestration.deliver import DeliveryError
from orchestration.deliver.columns import PERIODS

FIRST_YEAR, LAST_YEAR = 1901, 9998
METRICS = tuple(column for column in PERIODS.columns if column.kind != "time")


def keep_period(warehouse: Warehouse, window: Window, metrics: Mapping[str, Any]) -> None:
    """Store the metrics of `window`, in place of those of the last time it was asked for.

    Raises DeliveryError.
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
        with ops.noting(warehouse) as cursor:
            cursor.execute(statement, [window.start, window.end, *values])
        return
    except WarehouseError as error:
        problem = str(error)
    raise DeliveryError(f"The metrics of {window} could not be kept for the worksheet Periods. {problem}")

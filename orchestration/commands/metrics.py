"""The metrics of any window, by the same macros that make `marts.daily_metrics`."""

from __future__ import annotations

from typing import Any

import psycopg2
import psycopg2.extras

from ingestion.warehouse import Warehouse
from ingestion.windows import Window
from orchestration.build.dbt import Dbt
from orchestration.errors import StageError


def period_metrics(dbt: Dbt, warehouse: Warehouse, window: Window) -> dict[str, Any]:
    """The metrics over the valid attempts of `window`, by column name; ratios as float, None where undefined.

    Raises StageError, for instance when nothing was built yet.
    """
    start, end = (instant.isoformat(sep=" ") for instant in (window.start, window.end))
    sql = dbt.compile_inline(f"{{{{ period_metrics('{start}', '{end}') }}}}")
    try:
        connection = warehouse.connect()
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(sql)
                row = cursor.fetchone()
        finally:
            connection.close()
    except psycopg2.errors.UndefinedTable:
        reason = "the marts are not built yet: run `make run` (or `make build`) first"
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
    else:
        return {
            name: value if value is None or isinstance(value, int) else float(value)
            for name, value in (row or {}).items()
        }
    raise StageError(f"The metrics could not be read from {warehouse.label}: {reason}.")

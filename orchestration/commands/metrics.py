"""`make metrics`: the metrics of any window, by the same macros that make `marts.daily_metrics`."""

import json
from typing import Any

from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse, exists
from ingestion.windows import Window
from orchestration import wiring
from orchestration.build.dbt import Dbt
from orchestration.commands.screen import show_metrics
from orchestration.deliver.words import Words
from orchestration.errors import StageError
from orchestration.settings import Settings


def metrics(settings: Settings, window: Window, as_json: bool) -> dict[str, Any]:
    """Print the metrics of `window`, as a table or JSON, and return them. Raises StageError, WarehouseError."""
    warehouse = wiring.open_warehouse(settings)
    dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
    found = period_metrics(dbt, warehouse, window)
    if as_json:
        print(json.dumps({"start": window.start.isoformat(), "end": window.end.isoformat(), **found}))
    else:
        words = Words(settings.report_language)
        show_metrics(
            words.text(
                "{start} to {end} UTC",
                start=f"{window.start:%Y-%m-%d %H:%M:%S}",
                end=f"{window.end:%Y-%m-%d %H:%M:%S}",
            ),
            found,
            words,
        )
    return found


def period_metrics(dbt: Dbt, warehouse: Warehouse, window: Window) -> dict[str, Any]:
    """The metrics of `window` by column name; None where undefined. Raises StageError, WarehouseError."""
    start, end = (instant.isoformat(sep=" ") for instant in (window.start, window.end))
    sql = dbt.compile_inline(f"{{{{ period_metrics('{start}', '{end}') }}}}")
    with warehouse.session() as cursor:
        assert_built(cursor, warehouse)
        cursor.execute(sql)
        [row] = cursor.fetchall()
        names = [column.name for column in cursor.description or ()]
    return {
        name: value if value is None or isinstance(value, int) else float(value)
        for name, value in zip(names, row, strict=True)
    }


def assert_built(cursor: Cursor, warehouse: Warehouse) -> None:
    """Raise StageError when the marts are not built yet."""
    if not exists(cursor, "marts.attempts"):
        raise StageError(f"The marts of {warehouse.label} are not built yet: run `make run` (or `make build`) first.")

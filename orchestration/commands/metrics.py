"""`make metrics`: the metrics of any window, by the same macros that make `marts.daily_metrics`."""

import json
from datetime import timezone
from decimal import Decimal
from typing import Any

from psycopg2.extensions import cursor as Cursor

from ingestion.warehouse import Warehouse, exists, fetch_rows
from ingestion.windows import Window
from orchestration import wiring
from orchestration.build.dbt import Dbt
from orchestration.commands.screen import show_metrics, show_metrics_by
from orchestration.deliver.words import Words
from orchestration.errors import EXIT_DONE, StageError
from orchestration.settings import Settings


def metrics(settings: Settings, window: Window, as_json: bool) -> dict[str, Any]:
    """Print the metrics of `window`, as a table or JSON, and return them. Raises StageError, WarehouseError."""
    warehouse = wiring.open_warehouse(settings)
    dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
    found = period_metrics(dbt, warehouse, window)
    if as_json:
        print(json.dumps({**_as_text(window), **found}))
    else:
        words = Words(settings.report_language)
        show_metrics(_title(window, settings, words), found, words)
    return found


def metrics_by(settings: Settings, window: Window, by: str, as_json: bool) -> int:
    """The same for each course or task (`by`), most attempts first. Raises StageError, WarehouseError."""
    warehouse = wiring.open_warehouse(settings)
    dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
    found = query_metrics(dbt, warehouse, window, by)
    if as_json:
        print(json.dumps({**_as_text(window), "by": by, "rows": found}, ensure_ascii=False))
    else:
        words = Words(settings.report_language)
        show_metrics_by(_title(window, settings, words), found, words)
    return EXIT_DONE


def _as_text(window: Window) -> dict[str, str]:
    return {"start": window.start.isoformat(), "end": window.end.isoformat()}


def _title(window: Window, settings: Settings, words: Words) -> str:
    """The window in both zones, each without seconds where they are zero."""
    told = []
    for zone in (timezone.utc, settings.report_timezone):
        start, end = (instant.astimezone(zone).replace(tzinfo=None) for instant in (window.start, window.end))
        told.append(words.text("{start} to {end} ({zone})", start=start, end=end, zone=zone))
    return "\n".join(told)


def period_metrics(dbt: Dbt, warehouse: Warehouse, window: Window) -> dict[str, Any]:
    """The metrics of `window` by column name; None where undefined. Raises StageError, WarehouseError."""
    [row] = query_metrics(dbt, warehouse, window)
    return row


def query_metrics(dbt: Dbt, warehouse: Warehouse, window: Window, by: str | None = None) -> list[dict[str, Any]]:
    """One row, or one for each value of `by` with an attempt in the window, its first column.

    Raises StageError, WarehouseError.
    """
    start, end = (instant.isoformat(sep=" ") for instant in (window.start, window.end))
    key = f", by='{by}'" if by else ""
    sql = dbt.compile_inline(f"{{{{ period_metrics('{start}', '{end}'{key}) }}}}")
    with warehouse.session() as cursor:
        assert_built(cursor, warehouse)
        cursor.execute(sql)
        rows = fetch_rows(cursor)
    return [
        {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()} for row in rows
    ]


def assert_built(cursor: Cursor, warehouse: Warehouse) -> None:
    """Raise StageError when the marts are not built yet."""
    if not exists(cursor, "marts.attempts"):
        raise StageError(f"The marts of {warehouse.label} are not built yet: run `make run` (or `make build`) first.")

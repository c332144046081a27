"""What was told and delivered, noted in the schema `ops`.

It decides whether a mail about a day is the first one, and which alerts are news.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg2.extras import Json

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration import ops
from orchestration.deliver.alerts import Alert
from orchestration.deliver.figures import Day
from orchestration.summary import Delivery, RunSummary

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Past:
    """What earlier mails told of this day, when the last one about an earlier day went, and the open alerts."""

    same_day: dict[str, float | None] | None = None
    told_at: datetime | None = None
    alerts: tuple[Alert, ...] = ()


def read_past(warehouse: Warehouse, day: date) -> Past:
    """What was told before a mail about `day`. Nothing, with a warning in the log, when it can't be read."""
    try:
        with warehouse.session("grader-elt deliver") as cursor:
            if not ops.is_there(cursor):
                return Past()
            cursor.execute(
                "select figures from ops.deliveries where name = 'Mail' and ok and as_of_day = %s"
                " order by delivered_at desc limit 1",
                (day,),
            )
            same_day = cursor.fetchone()
            cursor.execute(
                "select max(delivered_at) from ops.deliveries where name = 'Mail' and ok and as_of_day < %s", (day,)
            )
            [(told_at,)] = cursor.fetchall()
            cursor.execute(
                "select kind, key, label, opened_on, told_on, closed_on from ops.alerts"
                " where closed_on is null or closed_on >= %s order by opened_on, kind, key",
                (day,),
            )
            return Past(same_day[0] if same_day else None, told_at, tuple(Alert(*row) for row in cursor.fetchall()))
    except WarehouseError as error:
        logger.warning("what was told before could not be read: %s", error)
        return Past()


def keep_deliveries(warehouse: Warehouse, summary: RunSummary, deliveries: Sequence[Delivery], day: Day | None) -> None:
    """Note what was delivered; a warehouse that doesn't take it is told in the log."""
    figures = Json(dict(day.values), dumps=json.dumps) if day else None
    rows = [
        (summary.run_id, done.name, done.target, done.ok, done.detail, day.date if day else None, figures)
        for done in deliveries
    ]
    statement = (
        "insert into ops.deliveries (run_id, name, target, ok, detail, as_of_day, figures)"
        " values (%s, %s, %s, %s, %s, %s, %s)"
    )
    _write(warehouse, statement, rows)


def keep_alerts(warehouse: Warehouse, alerts: Sequence[Alert]) -> None:
    """Note what was told of alerts, likewise."""
    rows = [(a.kind, a.key, a.label, a.opened_on, a.told_on, a.closed_on) for a in alerts]
    statement = (
        "insert into ops.alerts (kind, key, label, opened_on, told_on, closed_on) values (%s, %s, %s, %s, %s, %s)"
        " on conflict (kind, key, opened_on) do update set told_on = excluded.told_on, closed_on = excluded.closed_on"
    )
    _write(warehouse, statement, rows)


def _write(warehouse: Warehouse, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    try:
        with ops.noting(warehouse) as cursor:
            cursor.executemany(statement, rows)
    except WarehouseError as error:
        logger.warning("what was delivered could not be noted in the schema ops: %s", error)

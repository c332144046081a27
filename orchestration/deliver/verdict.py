"""Whether the last full day was as usual, read from the marts: dbt judges, this only asks."""

import logging

from psycopg2.extensions import cursor as Cursor

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse, exists
from orchestration.deliver.words import ENGLISH
from orchestration.errors import StageError
from orchestration.summary import DayVerdict, MetricVerdict

logger = logging.getLogger(__name__)

VERDICTS = """
    select verdicts.activity_date, verdicts.day_verdict, verdicts.metric, verdicts.verdict, verdicts.value::float8,
        verdicts.expected::float8, verdicts.band_low::float8, verdicts.band_high::float8
    from marts.daily_verdicts as verdicts
    inner join marts.as_of as as_of on verdicts.activity_date = as_of.as_of_day
    order by verdicts.metric
"""


def read_verdict(cursor: Cursor) -> DayVerdict | None:
    """The verdict on the last full day; None before there is one, or in marts of an earlier version."""
    if not exists(cursor, "marts.daily_verdicts"):
        return None
    cursor.execute(VERDICTS)
    rows = cursor.fetchall()
    return DayVerdict(rows[0][0], rows[0][1], tuple(MetricVerdict(*row[2:]) for row in rows)) if rows else None


def of_last_full_day(warehouse: Warehouse) -> DayVerdict | None:
    """The same, told in the log. Raises StageError."""
    problem: WarehouseError | None = None
    try:
        with warehouse.session() as cursor:
            found = read_verdict(cursor)
    except WarehouseError as error:
        problem = error
    if problem is not None:
        text = f"The verdict on the last full day could not be read. {problem}"
        raise StageError(text, outage=problem.outage)
    if found is not None:
        logger.log(
            logging.WARNING if found.is_suspect else logging.INFO,
            "the last full day, %s, is %s%s",
            found.day,
            ENGLISH.verdict(found),
            "".join(f"; {ENGLISH.reason(figure)}" for figure in found.out_of_band),
        )
    return found

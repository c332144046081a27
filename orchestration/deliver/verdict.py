"""Whether the last full day was as usual, read from the marts: dbt judges, this only asks."""

import logging
from datetime import date

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse, exists
from orchestration.deliver import words
from orchestration.errors import StageError
from orchestration.summary import DayVerdict

logger = logging.getLogger(__name__)

VERDICTS = """
    select verdicts.activity_date, verdicts.day_verdict, verdicts.metric, verdicts.verdict,
        verdicts.value::float8, verdicts.band_low::float8, verdicts.band_high::float8
    from marts.daily_verdicts as verdicts
    inner join marts.as_of as as_of on verdicts.activity_date = as_of.as_of_day
    order by verdicts.metric
"""


def of_last_full_day(warehouse: Warehouse) -> DayVerdict | None:
    """The verdict on the last full day; None before there is one. Raises StageError."""
    problem = ""
    try:
        with warehouse.session() as cursor:
            # marts of an earlier version have none
            if not exists(cursor, "marts.daily_verdicts"):
                return None
            cursor.execute(VERDICTS)
            rows = cursor.fetchall()
    except WarehouseError as error:
        problem = str(error)
    if problem:
        raise StageError(f"The verdict on the last full day could not be read. {problem}")
    if not rows:
        return None
    day: date = rows[0][0]
    reasons = tuple(
        _reason(metric, value, low, high)
        for _, _, metric, verdict, value, low, high in rows
        if verdict not in ("normal", "no_history")
    )
    found = DayVerdict(day, rows[0][1], reasons)
    logger.log(
        logging.WARNING if found.is_suspect else logging.INFO,
        "the last full day, %s, is %s%s",
        day,
        found.in_words,
        "".join(f"; {reason}" for reason in reasons),
    )
    return found


def _reason(metric: str, value: float | None, low: float | None, high: float | None) -> str:
    """What is unusual, in words: `attempts 12 (usually 2,900 to 3,150)`."""
    text = f"{metric.replace('_', ' ')} {words.number(metric, value)}"
    if low is None or high is None:
        return text
    return f"{text} (usually {words.number(metric, low)} to {words.number(metric, high)})"

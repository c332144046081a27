"""RETAIN_RAW_DAYS: raw records of loads older than that are removed once the marts have them.

The marts go on without them: an attempt is corrected by its key, a repeated record is known by it. Only a
rebuild from raw needs what is gone, so there is none any more.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from ingestion.warehouse import Warehouse, exists

logger = logging.getLogger(__name__)

_OUTDATED = """
    create temporary table outdated on commit drop as
    select _dlt_load_id, record_no
    from marts.load_receipts
    where loaded_at < now() - make_interval(days => %s)
        and _dlt_load_id not in (select _dlt_load_id from raw.removals where expired_at is not null)
"""
# The range of numbers lets raw be read by block ranges, while there are some that hold nothing newer.
_REMOVE = """
    delete from raw.attempts
    where _dlt_load_id in (select _dlt_load_id from outdated)
        and record_no <= (select max(record_no) from outdated)
"""
_REMOVE_STAGED = "delete from staging.stg_grader__attempts where _dlt_load_id in (select _dlt_load_id from outdated)"
_NOTE = """
    insert into raw.removals (_dlt_load_id)
    select _dlt_load_id from outdated where _dlt_load_id not in (select _dlt_load_id from raw.removals);

    update raw.removals set expired_at = now() where _dlt_load_id in (select _dlt_load_id from outdated)
"""
_GONE = """
    select count(*), max(receipts.loaded_at)
    from marts.load_receipts as receipts
    inner join raw.removals using (_dlt_load_id)
    where removals.expired_at is not null
        -- receipts of marts that were begun again without them count none
        and receipts.fetched > removals.accepted + removals.repeated + removals.rejected
"""


@dataclass(frozen=True)
class Gone:
    """How many published loads have left raw, and when the last of them was loaded."""

    loads: int
    last_loaded_at: datetime


def remove_outdated(warehouse: Warehouse, days: int) -> int:
    """Remove raw and staged records of published loads older than `days`; returns how many of raw.

    The caller holds the lock. Raises WarehouseError.
    """
    with warehouse.session("grader-elt retention") as cursor:
        if not exists(cursor, "raw.removals"):
            # The next ingest makes it.
            return 0
        cursor.execute(_OUTDATED, (days,))
        if not cursor.rowcount:
            return 0
        cursor.execute(_REMOVE)
        removed = cursor.rowcount
        cursor.execute(_REMOVE_STAGED)
        cursor.execute(_NOTE)
        loads = cursor.rowcount
    logger.info("retention: removed %d raw records of %d loads older than %d days", removed, loads, days)
    return int(removed)


def gone_from_raw(warehouse: Warehouse) -> Gone | None:
    """What a rebuild of the published marts could not read again; None when there is nothing. Raises WarehouseError."""
    with warehouse.session() as cursor:
        if not (exists(cursor, "raw.removals") and exists(cursor, "marts.load_receipts")):
            return None
        cursor.execute(_GONE)
        [(loads, last)] = cursor.fetchall()
    return Gone(loads, last) if loads else None

"""What became of the records of one run, read from the receipts that dbt wrote."""

import logging
from collections import Counter

from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration.errors import StageError
from orchestration.summary import LoadCounts

logger = logging.getLogger(__name__)

RECEIPTS = """
    select fetched, accepted, repeated, rejected, rejected_by_reason
    from marts.load_receipts
    where _dlt_load_id = any(%s)
"""


def of_loads(warehouse: Warehouse, load_ids: list[str]) -> LoadCounts:
    """The sums over the receipts of these loads. Raises StageError."""
    try:
        rows = warehouse.query(RECEIPTS, (load_ids,))
    except WarehouseError as error:
        text = f"The receipts of this run's loads could not be read. {error}"
        raise StageError(text, outage=error.outage) from None
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row[4])
    fetched, accepted, repeated, rejected = (sum(row[i] for row in rows) for i in range(4))
    counts = LoadCounts(fetched, accepted, repeated, rejected, dict(reasons.most_common()))
    logger.info(
        "records: %d fetched = %d accepted + %d repeated + %d rejected%s",
        fetched,
        accepted,
        repeated,
        rejected,
        "".join(f"; {reason}: {number}" for reason, number in counts.rejected_by_reason.items()),
    )
    return counts

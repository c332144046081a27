"""`make forget USER_ID=…`: removes a learner from the warehouse, once somebody has said yes."""

import logging
import sys

from ingestion import raw
from ingestion.errors import WarehouseError
from ingestion.warehouse import Warehouse
from orchestration import erasure, wiring
from orchestration.build.dbt import excluded_learners
from orchestration.deliver.words import counted
from orchestration.errors import EXIT_DONE, EXIT_STAGE_FAILED, SettingsError
from orchestration.lock import PipelineLock
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

AFTERWARDS = """\
What this does not reach:
- The API still has the records, and a learner who goes on working comes back with new ones. The next run asks
  again for the last {hours:g} hours (LOOKBACK_HOURS). So have the operator of the API erase first; running this
  again is always safe.
- Backups of the database (`make backup`), its WAL archives and replicas keep the rows as long as they are kept.
  After a restore, run this again.
- Days, weeks and months keep the figures they were published with until a build counts them anew;
  `make build FULL_REFRESH=1` counts all without the learner. Courses and tasks are counted anew by the next build.
- Spreadsheets: `make deliver` after the next build writes the worksheet `Learners to help`, if it is shared,
  without the learner; Google keeps earlier versions of a file.
- The command line just typed holds the id, in your shell's history."""


def forget(settings: Settings, learner: str, is_confirmed: bool, wait: bool = False) -> int:
    """Remove the learner; the id is printed and logged nowhere. Raises SettingsError, StageError, WarehouseError.

    Without `is_confirmed` somebody at a terminal is asked; no is exit code 1.
    """
    if not learner.strip() or not _can_be_stored(learner):
        raise SettingsError("USER_ID should be the id of a learner, as `lti_user_id` has it.")
    if not is_confirmed and not sys.stdin.isatty():
        raise SettingsError("Without a terminal nobody can confirm this: use YES=1 (--yes).")
    warehouse = wiring.open_warehouse(settings)
    with PipelineLock(warehouse, "forget", wait) as locked:
        if not raw.is_there(warehouse):
            print(f"Nothing was ever loaded into {warehouse.label}: there is nobody to forget.")
            return EXIT_DONE
        # Rows of loads that never ended go first: nothing accounts for them.
        raw.prepare(warehouse)
        with erasure.erasing(warehouse, learner) as learners:
            found = learners.found
            if found.is_nothing:
                print(f"No record in {warehouse.label} holds that id: nothing was removed.")
                _show_elsewhere(found, learner)
                return EXIT_DONE
            _show_found(found, warehouse)
            if not is_confirmed and input("Remove all of that for good? Type yes: ").strip().lower() != "yes":
                print("Nothing was removed.")
                return EXIT_STAGE_FAILED
            locked.check()
            removed = learners.remove()
        logger.info("forget: removed a learner: %s", ", ".join(f"{name} {rows}" for name, rows in removed.items()))
        _vacuum(warehouse)
    for relation, rows in removed.items():
        print(f"  {rows:>9,} removed from {relation}")
    print("Noted in ops.erasures (when, by whom, how many) and, load by load, in raw.removals (how many).")
    _show_elsewhere(found, learner)
    print(AFTERWARDS.format(hours=settings.lookback.total_seconds() / 3600))
    return EXIT_DONE


def _can_be_stored(learner: str) -> bool:
    try:
        learner.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in learner


def _show_found(found: erasure.Found, warehouse: Warehouse) -> None:
    print(
        f"{warehouse.label} has {counted(found.records, 'raw record')} of this learner, "
        f"{counted(found.attempts, 'attempt')} and {counted(found.rejected, 'rejected record')}."
    )
    others = found.records - found.own_records
    if others:
        print(
            f"{others:,} of the records are another's or nobody's and hold the id inside; "
            f"attempts of {counted(found.other_learners, 'other id')} go with them."
        )


def _show_elsewhere(found: erasure.Found, learner: str) -> None:
    if learner in excluded_learners():
        print(
            "The id is in dbt_project/seeds/excluded_learners.csv: remove its line there; "
            "the next build then rebuilds from raw."
        )
    elsewhere = {name: rows for name, rows in found.elsewhere.items() if name != "learners.excluded_learners"}
    if elsewhere:
        print(
            "These tables hold the id as well and are left to whoever made them (`dbt build --full-refresh`, or drop):"
        )
        for name, rows in elsewhere.items():
            print(f"  {rows:>9,} {name}")
    if found.unreadable:
        print(f"This account may not read all of the schemas {', '.join(found.unreadable)}: ask their owners.")


def _vacuum(warehouse: Warehouse) -> None:
    try:
        erasure.vacuum(warehouse)
    except WarehouseError as error:
        logger.warning("forget: the rows are removed; their place in the files is not free yet: %s", error)

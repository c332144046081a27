"""`make backup`, `make restore`, `make db-upgrade`: the embedded warehouse as one file, and back, and onward."""

import logging
import shlex
import time
from datetime import datetime, timezone
from pathlib import Path

from ingestion.warehouse import Warehouse
from orchestration import wiring
from orchestration.deliver import DeliveryError
from orchestration.deliver.files import write_whole
from orchestration.errors import EXIT_DONE, SettingsError, StageError
from orchestration.lock import PipelineLock
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

# Whatever else a warehouse holds, the rest can be built from this.
RAW = "raw.attempts"
HOLDS_DATA = """
    select exists (
        select from pg_class inner join pg_namespace on relnamespace = pg_namespace.oid
        where relkind in ('r', 'p', 'm', 'v') and nspname !~ '^pg_' and nspname <> 'information_schema'
    )
"""
BY_HAND = """\
POSTGRES_HOST is set: the warehouse {label} is a server of yours, which is backed up as its administrator does. \
By hand:
  {line}"""


def backup(settings: Settings, now: datetime | None = None) -> int:
    """Write the embedded warehouse to OUT_DIR/backup and say where it is.

    Runs may go on meanwhile: it is the state of one moment. Raises SettingsError for a warehouse of the user's
    own, StageError, WarehouseError.
    """
    _refuse_own_server(settings, "pg_dump --format=custom --file={file} {address}", "grader.dump")
    warehouse = wiring.open_warehouse(settings)
    if not _holds_data(warehouse):
        raise StageError(f"The database {warehouse.dbname} holds nothing yet to back up: start with `make run`.")
    moment = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    target = settings.out_dir / "backup" / f"{warehouse.dbname}-{moment:%Y%m%dT%H%M%SZ}.dump"
    started = time.monotonic()
    try:
        with wiring.embedded_postgres() as postgres:
            write_whole(target, lambda file: postgres.write_dump(settings.state_dir, warehouse, file))
    except DeliveryError as error:
        raise StageError(f"{error}. Make room, or set OUT_DIR to a folder of your own.") from None
    size, seconds = target.stat().st_size / 2**20, time.monotonic() - started
    logger.info("backup: %s, %.1f MiB in %.1f s", target, size, seconds)
    print(f"The backup is in {target} ({size:,.1f} MiB, {seconds:.1f} s).")
    print("It holds every learner's records: keep it as you keep the warehouse, and copy it to another machine.")
    print(f"  make restore FILE={shlex.quote(str(target))}")
    return EXIT_DONE


def restore(settings: Settings, file: Path, replace: bool) -> int:
    """Put a backup in the place of the embedded warehouse; one that holds data only with `replace`.

    Until all is restored the warehouse stays as it is, and after a failure as well. Raises SettingsError for a
    file that can't be used, StageError, LockedError, WarehouseError.
    """
    _refuse_own_server(settings, "pg_restore --exit-on-error {address} {file}", str(file))
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise SettingsError(f"FILE should be a backup that can be read: {file}: {error.strerror}.") from None
    warehouse = wiring.open_warehouse(settings)
    _check_contents(settings, file, warehouse.dbname)
    started = time.monotonic()
    with PipelineLock(warehouse, "restore") as lock:
        if _holds_data(warehouse) and not replace:
            raise SettingsError(
                f"The database {warehouse.dbname} holds data, which the backup would replace. To keep that first: "
                f"`make backup`. To replace it: make restore FILE={shlex.quote(str(file))} YES=1"
            )
        logger.info("restore: %s from %s", warehouse.label, file)
        with wiring.embedded_postgres() as postgres:
            restored = postgres.restore_dump(settings.state_dir, warehouse, file, lock.check)
    seconds = time.monotonic() - started
    logger.info("restore: done after %.1f s", seconds)
    print(f"The database {warehouse.dbname} is restored from {file} ({seconds:.1f} s).")
    print("The next `make run` loads what came since.")
    if restored.without_grants or restored.without_database_grants:
        print("Not all grants could be kept: run `make roles APPLY=1` and grant again what others were granted.")
    return EXIT_DONE


def upgrade(settings: Settings) -> int:
    """Bring the embedded database to the newest major version of PostgreSQL here, and say what was done.

    Raises SettingsError for a warehouse of the user's own, StageError, LockedError, WarehouseError.
    """
    if settings.warehouse is not None:
        raise SettingsError(
            f"POSTGRES_HOST is set: {settings.warehouse.label} is a server of yours, upgrade it as its manual says."
        )
    # The server is stopped meanwhile, and with it every session: the lock only tells whether somebody is at work.
    with PipelineLock(wiring.open_warehouse(settings), "db-upgrade"):
        logger.info("db-upgrade: nothing else is at work")
    started = time.monotonic()
    with wiring.embedded_postgres() as postgres:
        upgraded = postgres.upgrade(settings.state_dir)
    if upgraded is None:
        print("The embedded database is of the newest PostgreSQL here.")
        return EXIT_DONE
    seconds = time.monotonic() - started
    logger.info("db-upgrade: from %s to %s in %.1f s", upgraded.old, upgraded.new, seconds)
    print(f"The embedded database is of PostgreSQL {upgraded.new} now, it was of {upgraded.old} ({seconds:.1f} s).")
    print("The data as it was is still there. When all is well:")
    print(f"  rm -r {shlex.quote(str(upgraded.old_data))}")
    return EXIT_DONE


def _refuse_own_server(settings: Settings, command: str, file: str) -> None:
    warehouse = settings.warehouse
    if warehouse is None:
        return
    line = command.format(address=shlex.join(warehouse.client_options()), file=shlex.quote(file))
    raise SettingsError(BY_HAND.format(label=warehouse.label, line=line))


def _check_contents(settings: Settings, file: Path, dbname: str) -> None:
    """Raise SettingsError unless the file is a backup of a warehouse, and made-up data stays with its like."""
    try:
        with wiring.embedded_postgres() as postgres:
            found = postgres.contents(settings.state_dir, file)
    except StageError as error:
        raise SettingsError(f"FILE should be a backup by `make backup`: {file}: {error}") from None
    if RAW not in found.tables:
        raise SettingsError(f"FILE should be a backup of a warehouse: {file} holds no table {RAW}.")
    if (found.database == wiring.DEMO_DATABASE) != (dbname == wiring.DEMO_DATABASE):
        kinds = {True: "made-up data (API_URL unset)", False: "real data (API_URL set)"}
        raise SettingsError(
            f"{file} is a backup of the database {found.database}, {kinds[found.database == wiring.DEMO_DATABASE]}; "
            f"the settings say {dbname}, {kinds[dbname == wiring.DEMO_DATABASE]}. The two are never mixed."
        )


def _holds_data(warehouse: Warehouse) -> bool:
    return warehouse.query(HOLDS_DATA) == [(True,)]

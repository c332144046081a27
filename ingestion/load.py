"""dlt: one batch of answers -> one load package -> committed rows of `raw.attempts` and `raw.fetches`.

Records go the fast way: a file of our own that is made for COPY, one for each load, so that rows arrive in
order. dlt imports it under the name of CSV, for it knows no name for COPY's binary format. Each load has a fresh
pipeline folder and restores no state: the warehouse alone knows what has been loaded. A job is never tried
twice, for a COPY whose commit was not acknowledged may have happened.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import psycopg2
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.runtime.run_context import RunContext
from dlt.common.storages.load_package import load_package_state
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresCsvCopyJob

from ingestion import spool
from ingestion.errors import IngestionError, LoadError
from ingestion.raw import SCHEMA
from ingestion.redaction import Redactor
from ingestion.sift import is_refusal

if TYPE_CHECKING:
    from ingestion.spool import Fetched
    from ingestion.warehouse import Warehouse

log = logging.getLogger(__name__)

_PREFIX = "load-"
_COPY_STEP = 4 << 20
_SETTINGS: dict[str, Any] = {
    "runtime": {"dlthub_telemetry": False, "log_level": "CRITICAL", "intercept_signals": False},
    "providers": {"enable_airflow_secrets": False},
    "restore_from_destination": False,
    "enable_runtime_trace": False,
    "extract": {"next_item_mode": "fifo", "workers": 1},
    "data_writer": {"disable_compression": True},
    "load": {"raise_on_max_retries": 1, "delete_completed_jobs": True},
}
_ATTEMPTS: dict[str, Any] = {
    "record": {"data_type": "json", "nullable": False},
    "fetched_at": {"data_type": "timestamp", "nullable": False},
    "_dlt_load_id": {"data_type": "text", "nullable": False},
}
_INSTANT = {"data_type": "timestamp", "nullable": True}
_COUNT = {"data_type": "bigint", "nullable": True}
_FETCHES: dict[str, Any] = {
    "window_start": _INSTANT,
    "window_end": _INSTANT,
    "records": _COUNT,
    "fetched_at": _INSTANT,
    "asked_start": _INSTANT,
    "asked_end": _INSTANT,
    "round": {"data_type": "text", "nullable": True},
    "repaired": _COUNT,
    "kept_as_text": _COUNT,
}


class RefusedError(LoadError):
    """PostgreSQL could not take some of the load's records; nothing of them was stored."""


@dataclass(frozen=True)
class Staged:
    """A load package that is ready to go. `written` tells the answers in it, without their records, `rows` the
    file that has them.
    """

    pipeline: dlt.Pipeline
    folder: Path
    rows: Path
    load_id: str
    written: list[Fetched]

    @property
    def records(self) -> int:
        """How many records it holds."""
        return sum(answer.records for answer in self.written)


class Loader:
    """Makes and commits load packages, in a working folder for which it is the only user.

    `stage` and `commit` may run at the same time, in different threads.
    """

    def __init__(self, warehouse: Warehouse, work_dir: Path) -> None:
        self._warehouse = warehouse
        self._work_dir = work_dir
        self._count = 0
        self._counting = threading.Lock()
        work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clean()
        Container()[PluggableRunContext].reload(_Context(work_dir))

    def clean(self) -> None:
        """Remove what earlier loads left in the working folder."""
        for left in self._work_dir.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    def new_folder(self) -> Path:
        """A new empty folder inside the working folder, readable by this user alone."""
        with self._counting:
            self._count += 1
            folder = self._work_dir / f"{_PREFIX}{self._count}"
        folder.mkdir(mode=0o700)
        return folder

    def stage(self, answers: Iterable[Fetched]) -> Staged:
        """Write `answers`, drawn one by one, into a new load package. Raises LoadError."""
        folder = self.new_folder()
        rows = folder / "attempts.rows"
        written: list[Fetched] = []
        load_ids: list[str] = []

        @dlt.resource(name="attempts", write_disposition="append", columns=_ATTEMPTS)
        def attempts() -> Iterator[Any]:
            load_ids.append(load_package_state()["load_id"])
            written.extend(spool.write(rows, answers, load_ids[0]))
            if records := sum(answer.records for answer in written):
                yield dlt.mark.with_file_import(str(rows), "csv", records)

        @dlt.resource(name="fetches", write_disposition="append", columns=_FETCHES)
        def fetches() -> Iterator[Any]:
            yield [_row(answer) for answer in written]

        @dlt.source(name="grader")
        def grader() -> Any:
            return attempts, fetches

        try:
            pipeline = dlt.pipeline(
                "grader",
                pipelines_dir=str(folder / "dlt"),
                destination=_Postgres(
                    self._warehouse.dlt_url(), create_indexes=False, destination_name="warehouse"
                ),
                dataset_name=SCHEMA,
            )
            pipeline.extract(grader(), workers=1)
            pipeline.normalize()
            pipeline.deactivate()
            return Staged(pipeline, folder, rows, load_ids[0], written)
        except Exception as error:  # noqa: BLE001 dlt's own hold the URL with the password
            failure = self._failure("could not be prepared", error)
        raise failure

    def commit(self, staged: Staged) -> None:
        """Bring the package into the warehouse, as a whole.

        Raises RefusedError when PostgreSQL can't take some record (`staged.rows` is still there then),
        LoadError when anything else goes wrong.
        """
        began = time.monotonic()
        failure: IngestionError | KeyboardInterrupt | None = None
        try:
            staged.pipeline.load(workers=1)
            staged.pipeline.deactivate()
        except Exception as error:  # noqa: BLE001 dlt's own hold the URL with the password
            failure = self._failure(f"{staged.load_id} did not end", error)
        if failure is not None:
            raise failure
        self.drop(staged)
        log.info(
            "Loaded %d records of %d answers as load %s in %.2f s.",
            staged.records,
            len(staged.written),
            staged.load_id,
            time.monotonic() - began,
        )

    def unpacked(self, staged: Staged) -> Iterator[Fetched]:
        """The answers of a package that was refused, one by one, as they were handed to `stage`."""
        return spool.restored(staged.rows, staged.written, staged.load_id, staged.folder)

    def drop(self, staged: Staged) -> None:
        """Remove the package's files."""
        shutil.rmtree(staged.folder, ignore_errors=True)

    def _failure(self, what: str, error: BaseException) -> IngestionError | KeyboardInterrupt:
        chain = list(_chain(error))
        if any(isinstance(link, KeyboardInterrupt) for link in chain):
            return KeyboardInterrupt()
        for link in reversed(chain):
            if isinstance(link, psycopg2.Error):
                if is_refusal(link.pgcode):
                    return RefusedError(
                        f"Load {what}: PostgreSQL refused some record (SQLSTATE {link.pgcode})."
                    )
                said = link.diag.message_primary or str(link)
                return self._told(what, f"{said} (SQLSTATE {link.pgcode})")
            if isinstance(link, OSError):
                return self._told(what, f"{link.strerror or type(link).__name__} in {self._work_dir}")
        last = chain[-1]
        return self._told(what, f"{type(last).__name__}: {last}")

    def _told(self, what: str, why: str) -> LoadError:
        why = Redactor([self._warehouse.password])(" ".join(why.split())[:500])
        return LoadError(
            f"A load into {self._warehouse.label} failed, load {what}: {why}. "
            "What to do: mend that and run again; what was not loaded is fetched anew."
        )


class _CopyJob(PostgresCsvCopyJob):
    """dlt's own, for the format of our file, and in steps large enough not to wait for the other threads all
    the time.
    """

    def run(self) -> None:
        client = self._job_client.sql_client
        copy = (
            f"COPY {client.make_qualified_table_name(self.load_table_name)} ({', '.join(spool.COLUMNS)}) FROM STDIN"
            " WITH (FORMAT binary)"
        )
        with (
            open(self._file_path, "rb") as file,
            client.begin_transaction(),
            client.native_connection.cursor() as cursor,
        ):
            cursor.copy_expert(copy, file, size=_COPY_STEP)


class _Client(PostgresClient):
    """dlt's client for PostgreSQL, with the job above for our files."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if file_path.endswith(".csv"):
            return _CopyJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)


class _Postgres(postgres):
    """dlt's PostgreSQL, with the client above."""

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


class _Context(RunContext):
    """Where dlt looks for settings: here alone, so that nobody's home, working directory or environment
    matters.
    """

    def __init__(self, work_dir: Path) -> None:
        super().__init__(str(work_dir))
        self._global_dir = str(work_dir)

    def initial_providers(self) -> list[ConfigProvider]:
        return [CustomLoaderDocProvider("grader", lambda: _SETTINGS)]


def _row(answer: Fetched) -> dict[str, Any]:
    return {
        "window_start": answer.window.start,
        "window_end": answer.window.end,
        "records": answer.records,
        "fetched_at": answer.fetched_at,
        "asked_start": answer.ask.window.start,
        "asked_end": answer.ask.window.end,
        "round": answer.ask.round,
        "repaired": answer.repaired,
        "kept_as_text": answer.kept_as_text,
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, the deepest last."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__ or getattr(current, "exception", None)

"""The dlt source of the grader's API, and how it is loaded: fetched answers -> `raw.attempts` and `raw.fetches`.

What is fetched: `GET {API_URL}?client=…&client_key=…&start=…&end=…`, one request for each day of the
windows asked for. There is no paging, no cursor and no id: a day that is refused or too slow is
requested in halves (`ingestion.api`).

Load mode: append. The API has no key to merge by, and a record may come again, corrected or not; every
version is kept as it came, and dbt decides which one counts. What time is covered is read from
`raw.fetches` of completed loads (`ingestion.raw`) instead of dlt's incremental state: the warehouse
alone holds state, so that any machine can go on.

Data flow: window -> answer -> texts of its records, put aside in a file -> one CSV file a load, in
order of arrival -> dlt's load package -> COPY into `raw.attempts` (`record` as jsonb, verbatim), and one
row of `raw.fetches` for each answer. A CSV is imported rather than dictionaries yielded, because parsing
and writing each record again would take five times as long.

How to run it: `make ingest`, or `python -m orchestration ingest --start … --end …`; from Python,
`ingestion.pipeline.ingest`. Afterwards `dlt pipeline --pipelines-dir FOLDER grader info` (also `trace`,
`schema`, `load-package`) shows the last load; that folder holds no records and no secret, and nothing
depends on it.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import psycopg2

from ingestion.batches import Fetched, write_csv
from ingestion.errors import LoadError, causes
from ingestion.raw import SCHEMA, TABLES
from ingestion.redaction import Redactor
from ingestion.warehouse import Warehouse, is_outage

log = logging.getLogger(__name__)

NAME = "grader"
# Environment variables come before all other settings of dlt's, those in the user's home included:
# https://dlthub.com/docs/general-usage/credentials/setup
_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "RUNTIME__INTERCEPT_SIGNALS": "false",
    "PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false",
    # Only the warehouse knows what was loaded; a state restored from it could even change the dataset.
    "RESTORE_FROM_DESTINATION": "false",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "EXTRACT__WORKERS": "1",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "1",
    # A COPY whose commit was not acknowledged may have happened, so no job is ever tried twice.
    "LOAD__RAISE_ON_MAX_RETRIES": "1",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

_DATA_TYPES = {"jsonb": "json", "timestamptz": "timestamp", "varchar": "text", "bigint": "bigint"}


@dlt.source(name="grader")
def grader(answers: list[Fetched], csv_file: Path) -> Any:
    """The answers of one load; `csv_file` is written for dlt to import."""

    @dlt.resource(write_disposition="append", columns=_columns("attempts"))
    def attempts() -> Iterator[Any]:
        """One row a record, in the order of the answers and of the records in each."""
        write_csv(csv_file, answers, dlt.current.load_package_state()["load_id"])
        if records := sum(answer.records for answer in answers):
            yield dlt.mark.with_file_import(str(csv_file), "csv", records)

    @dlt.resource(write_disposition="append", columns=_columns("fetches"))
    def fetches() -> Iterator[Any]:
        """One row an answer: what was asked for, when, and how many records came."""
        for answer in answers:
            yield {
                "window_start": answer.window.start,
                "window_end": answer.window.end,
                "records": answer.records,
                "fetched_at": answer.fetched_at,
                "asked_start": answer.asked.start,
                "asked_end": answer.asked.end,
                "round": answer.round,
                "repaired": answer.repaired,
                "kept_as_text": answer.kept_as_text,
            }

    return attempts, fetches


def _columns(table: str) -> Any:
    """dlt's hints for the columns of a table of the raw schema that a load fills."""
    return {
        name: {"data_type": _DATA_TYPES[definition.split()[0]], "nullable": "not null" not in definition}
        for name, definition in TABLES[table].items()
        if name not in ("record_no", "_dlt_id")
    }


def load(
    warehouse: Warehouse, answers: list[Fetched], work_dir: Path, prepared: Callable[[], None] = lambda: None
) -> str:
    """Load the answers as one load; returns its id. Raises LoadError.

    `prepared` is called when their files are gone and only PostgreSQL is left to do its part.
    """
    began = time.monotonic()
    csv_file = work_dir / "attempts.csv"
    failure: BaseException | None = None
    try:
        with _settings(work_dir):
            pipeline = dlt.pipeline(
                NAME,
                pipelines_dir=str(work_dir),
                destination=dlt.destinations.postgres(
                    warehouse.dlt_url(), create_indexes=False, destination_name="warehouse"
                ),
                dataset_name=SCHEMA,
            )
            pipeline.extract(grader(answers, csv_file))
            pipeline.normalize()
            prepared()
            load_id = pipeline.load().loads_ids[0]
    except Exception as error:  # noqa: BLE001 dlt's own hold the URL with the password
        failure = _load_failure(warehouse, work_dir, error)
        # What dlt keeps of a failed load holds records.
        shutil.rmtree(work_dir / NAME, ignore_errors=True)
    finally:
        csv_file.unlink(missing_ok=True)
    if failure is not None:
        raise failure
    log.info(
        "Loaded %d records of %d answers as load %s in %.2f s.",
        sum(answer.records for answer in answers),
        len(answers),
        load_id,
        time.monotonic() - began,
    )
    return load_id


def _load_failure(warehouse: Warehouse, work_dir: Path, error: Exception) -> BaseException:
    """The error to raise for one of dlt's: the words of what is behind it, without the password."""
    chain = list(causes(error))
    why = f"{type(chain[-1]).__name__}: {chain[-1]}"
    outage = any(isinstance(link, psycopg2.Error) and is_outage(link) for link in chain)
    for link in chain:
        if isinstance(link, KeyboardInterrupt):
            return KeyboardInterrupt()
        if isinstance(link, psycopg2.Error):
            why = f"{link.diag.message_primary or link} (SQLSTATE {link.pgcode})"
        elif isinstance(link, OSError):
            why = f"{link.strerror or type(link).__name__} in {work_dir}"
    why = Redactor([warehouse.password])(" ".join(why.split())[:500])
    return LoadError(
        f"A load into {warehouse.label} failed: {why}. "
        "What to do: correct that and run again; what was not loaded is fetched again.",
        outage=outage,
    )


@contextmanager
def _settings(work_dir: Path) -> Iterator[None]:
    """Keep the user's settings for other pipelines away from dlt."""
    ours = {**_SETTINGS, "DLT_PROJECT_DIR": str(work_dir)}
    theirs = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in theirs.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

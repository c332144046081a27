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

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import psycopg2

from ingestion.api import Answer
from ingestion.errors import LoadError, causes
from ingestion.raw import SCHEMA
from ingestion.records import SEPARATOR
from ingestion.redaction import Redactor
from ingestion.warehouse import Warehouse
from ingestion.windows import Window

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
_RECORDS_AT_ONCE = 2000
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """One answer, whose records wait in `file` as CSV fields without the outer quotes, SEPARATOR between.

    `asked` is the whole window asked for, `round` the id of the pass over it, `size` the body's length.
    """

    window: Window
    asked: Window
    round: str
    fetched_at: datetime
    file: Path
    records: int
    repaired: int
    kept_as_text: int
    size: int


@dlt.source(name="grader")
def grader(answers: list[Fetched], csv_file: Path) -> Any:
    """The answers of one load; `csv_file` is written for dlt to import."""

    @dlt.resource(write_disposition="append", columns=_ATTEMPTS)
    def attempts() -> Iterator[Any]:
        """One row a record, in the order of the answers and of the records in each."""
        write_csv(csv_file, answers, dlt.current.load_package_state()["load_id"])
        if records := sum(answer.records for answer in answers):
            yield dlt.mark.with_file_import(str(csv_file), "csv", records)

    @dlt.resource(write_disposition="append", columns=_FETCHES)
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


def put_aside(answer: Answer, asked: Window, round_id: str, file: Path) -> Fetched:
    """Write the answer's records to the new file `file`, where they wait for their load. Raises OSError."""
    texts = answer.records.texts
    with file.open("xb") as waiting:
        for start in range(0, len(texts), _RECORDS_AT_ONCE):
            if start:
                waiting.write(SEPARATOR)
            joined = SEPARATOR.join(texts[start : start + _RECORDS_AT_ONCE])
            waiting.write(joined.replace(b'"', b'""'))
    return Fetched(
        window=answer.window,
        asked=asked,
        round=round_id,
        fetched_at=answer.fetched_at,
        file=file,
        records=len(texts),
        repaired=answer.records.repaired,
        kept_as_text=answer.records.kept_as_text,
        size=answer.size,
    )


def write_csv(path: Path, answers: Iterable[Fetched], load_id: str) -> None:
    """Write all records of `answers` to the new CSV file `path` in their order. Raises OSError."""
    with path.open("xb") as rows:
        rows.write(b",".join(name.encode() for name in _ATTEMPTS) + b"\n")
        for answer in answers:
            if not answer.records:
                continue
            row_end = f'",{answer.fetched_at.isoformat()},{load_id}\n'.encode()
            rows.write(b'"')
            with answer.file.open("rb") as waiting:
                while chunk := waiting.read(_BYTES_AT_ONCE):
                    rows.write(chunk.replace(SEPARATOR, row_end + b'"'))
            rows.write(row_end)
            answer.file.unlink()


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
        "What to do: correct that and run again; what was not loaded is fetched again."
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

"""dlt at work: a batch of fetched answers -> committed rows of `raw.attempts` and `raw.fetches`, as one load.

dlt's working folder starts empty and no state is restored: the warehouse alone knows what was loaded. After a load it stays
for `dlt pipeline --pipelines-dir FOLDER grader info`; it holds no records, no secret, and nothing depends on it.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dlt
import psycopg2

from ingestion.errors import LoadError, causes
from ingestion.raw import SCHEMA
from ingestion.redaction import Redactor
from ingestion.source import Fetched, grader

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

log = logging.getLogger(__name__)

NAME = "grader"
# dlt's settings, by the means that come before all others: https://dlthub.com/docs/general-usage/credentials/setup
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


@contextmanager
def _settings(work_dir: Path) -> Iterator[None]:
    """Keep what the user's environment and the current folder have for other pipelines away from dlt."""
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


def load(warehouse: Warehouse, answers: list[Fetched], work_dir: Path) -> str:
    """Bring the answers into the warehouse as one load, and remove their files; returns its id. Raises LoadError."""
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
            load_id = pipeline.run(grader(answers, csv_file)).loads_ids[0]
    except Exception as error:  # noqa: BLE001 dlt's own hold the URL with the password
        failure = _load_failure(warehouse, work_dir, error)
        # What dlt keeps of a failed load holds records.
        shutil.rmtree(work_dir / NAME, ignore_errors=True)
    finally:
        csv_file.unlink(missing_ok=True)
        for answer in answers:
            answer.file.unlink(missing_ok=True)
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

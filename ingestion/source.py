"""The dlt source: fetched answers of the grader's API -> `raw.attempts` and `raw.fetches`.

What is fetched: `GET {API_URL}?client=…&client_key=…&start=…&end=…`, one request for each day of the windows asked for.
There is no paging, no cursor and no id: a day that is refused or too slow is requested in halves (`ingestion.api`).

Load mode: append. The API has no key to merge by, and the same record may come again, corrected or not; every version is
kept as it came, and dbt decides which one counts. dlt's incremental loading isn't used either: which time is covered is
read from `raw.fetches` of completed loads (`ingestion.raw`), so that the warehouse alone holds state and any machine can go on.

Data flow: window -> answer -> texts of its records, in a file of their own -> one CSV file a load, in order of arrival ->
dlt's load package -> COPY into `raw.attempts` (`record` as jsonb, verbatim), beside one row of `raw.fetches` for each answer.
A CSV is imported rather than dictionaries yielded: parsing and writing each record again would take five times as long.

How to run it: `make ingest`, or `python -m orchestration ingest --start … --end …`; from Python, `ingestion.pipeline.ingest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt

from ingestion.api import Answer
from ingestion.records import SEPARATOR
from ingestion.windows import Window

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
class Pass:
    """Why a slice is fetched: the whole window asked for, and the id of this pass over it."""

    window: Window
    round: str


@dataclass(frozen=True)
class Fetched:
    """One answer whose records wait in `file`: their texts as CSV fields, without the outer quotes, with SEPARATOR between.

    `size` is the body's length in bytes, as answered.
    """

    window: Window
    asked: Pass
    fetched_at: datetime
    file: Path
    records: int
    repaired: int
    kept_as_text: int
    size: int


@dlt.source(name="grader")
def grader(answers: list[Fetched], csv_file: Path) -> Any:
    """The answers of one load, as the resources `attempts` and `fetches`; `csv_file` is a new file for dlt to import."""

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
                "asked_start": answer.asked.window.start,
                "asked_end": answer.asked.window.end,
                "round": answer.asked.round,
                "repaired": answer.repaired,
                "kept_as_text": answer.kept_as_text,
            }

    return attempts, fetches


def put_aside(answer: Answer, asked: Pass, file: Path) -> Fetched:
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

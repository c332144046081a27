"""Records between their fetch and their load: each answer's in a file of their own, then one CSV for all."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingestion.api import Answer
from ingestion.records import SEPARATOR
from ingestion.windows import Window

_HEADER = b"record,fetched_at,_dlt_load_id\n"
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
        rows.write(_HEADER)
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

"""Fetched slices -> the file a load imports, and back.

The file is CSV for COPY, but quoted and delimited by control characters, which JSON texts can't hold: so
records are written as they are, with nothing doubled. They are quoted only where they have line breaks, for
COPY reads plain fields faster. The first line names the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ingestion.api import Answer
from ingestion.records import Raw
from ingestion.windows import Window

COLUMNS = ("record", "fetched_at", "_dlt_load_id")
QUOTE, DELIMITER = "\x01", "\x02"
_QUOTE, _DELIMITER = QUOTE.encode(), DELIMITER.encode()
# Stands between records until it is known what comes there.
_SEPARATOR = _QUOTE
_PART = 2000


@dataclass(frozen=True)
class Ask:
    """Why a slice is fetched: the whole window asked for, and the id of this pass over it."""

    window: Window
    round: str


@dataclass(frozen=True)
class Fetched:
    """One answer whose records wait in `file`: their texts joined by the quote character, in parts of `parts`
    bytes.
    """

    window: Window
    ask: Ask
    fetched_at: datetime
    file: Path
    parts: tuple[int, ...]
    records: int
    repaired: int
    kept_as_text: int
    size: int


def pack(answer: Answer, ask: Ask, file: Path) -> Fetched:
    """An answer as it waits for its load, its records in the new file `file`."""
    records = answer.records
    return Fetched(
        window=answer.window,
        ask=ask,
        fetched_at=answer.fetched_at,
        file=file,
        parts=_put(records.texts, file),
        records=len(records),
        repaired=records.repaired,
        kept_as_text=records.kept_as_text,
        size=answer.size,
    )


def repack(fetched: Fetched, texts: Iterable[bytes], file: Path) -> Fetched:
    """The same answer with other texts, in the new file `file`."""
    return replace(fetched, file=file, parts=_put(texts, file))


def write(path: Path, answers: Iterable[Fetched], load_id: str) -> list[Fetched]:
    """Write all records of `answers` to a new file in their order; returns the answers, whose own files are
    gone.
    """
    written: list[Fetched] = []
    with path.open("xb") as file:
        file.write(",".join(COLUMNS).encode() + b"\n")
        for answer in answers:
            row_end = f"{DELIMITER}{answer.fetched_at.isoformat()}{DELIMITER}{load_id}\n".encode()
            with answer.file.open("rb") as waiting:
                for size in answer.parts:
                    part = waiting.read(size)
                    quote = _QUOTE if b"\n" in part or b"\r" in part else b""
                    file.write(quote)
                    file.write(part.replace(_SEPARATOR, quote + row_end + quote))
                    file.write(quote + row_end)
            answer.file.unlink()
            written.append(answer)
    return written


def read(path: Path, written: Iterable[Fetched]) -> Iterator[tuple[Fetched, Iterator[bytes]]]:
    """What `write` wrote: each answer with its records' texts, to be consumed in this order."""
    with path.open("rb") as file:
        file.readline()
        texts = _records(file)
        for answer in written:
            yield answer, (next(texts) for _ in range(answer.records))


def _records(file: BinaryIO) -> Iterator[bytes]:
    """The first field of each row."""
    row = b""
    for line in file:
        row += line
        if not row.startswith(_QUOTE) or row.count(_QUOTE) == 2:
            yield row.split(_DELIMITER, 1)[0].strip(_QUOTE)
            row = b""


def _put(texts: Iterable[bytes | Raw], path: Path) -> tuple[int, ...]:
    remaining = iter(texts)
    with path.open("xb") as file:
        parts = iter(lambda: list(islice(remaining, _PART)), [])
        return tuple(file.write(_SEPARATOR.join(part)) for part in parts)

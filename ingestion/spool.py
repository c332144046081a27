"""Fetched slices -> the file a load imports, and back.

The file is for COPY in its binary format (PostgreSQL's manual, "COPY", "Binary Format"): nothing in a record has to be
escaped, and the server has to look for neither the ends of fields nor those of lines, which saves it a quarter of the work.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ingestion.api import Answer
from ingestion.records import Raw, as_bytes
from ingestion.windows import Window

COLUMNS = ("record", "fetched_at", "_dlt_load_id")
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
# The head of a row: the number of fields, the size of the first of them, and that one's first byte, jsonb's version.
_HEAD = struct.Struct(">hiB")
_JSONB_VERSION = 1
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
# Stands between records until it is known what comes there. JSON texts can't hold it.
_SEPARATOR = b"\x01"
_PART = 2000
# What jsonb may have no room for: PostgreSQL's numeric has 131,072 digits before the point and 16,383 after it, so such a
# number has an exponent of four digits or a run of digits as long as this. What looks alike in a string is
# suspected for nothing.
_EXPONENTS = tuple(
    re.compile(rb"%b(?<=[0-9]%b)[+-]?[0-9]{4,}(?:[ \t\r\n,\]}%b]|\Z)" % (sign, sign, _SEPARATOR))
    for sign in (b"e", b"E")
)
_LONG = 10_000
_LONG_NUMBER = re.compile(rb"[0-9.]{%d}" % _LONG)


@dataclass(frozen=True)
class Ask:
    """Why a slice is fetched: the whole window asked for, and the id of this pass over it."""

    window: Window
    round: str


@dataclass(frozen=True)
class Fetched:
    """One answer whose records wait in `file`: their texts joined by the separator, in parts of `parts` bytes.

    `suspects` are the numbers, from 0, of the records with a number that PostgreSQL may be unable to store.
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
    suspects: tuple[int, ...] = ()


def pack(answer: Answer, ask: Ask, file: Path, look: bool = True) -> Fetched:
    """An answer as it waits for its load, its records in the new file `file`; suspects are looked for if `look`."""
    records = answer.records
    suspects: list[int] | None = [] if look else None
    return Fetched(
        window=answer.window,
        ask=ask,
        fetched_at=answer.fetched_at,
        file=file,
        parts=_put(records.texts, file, suspects),
        records=len(records),
        repaired=records.repaired,
        kept_as_text=records.kept_as_text,
        size=answer.size,
        suspects=tuple(suspects or ()),
    )


def pick(fetched: Fetched, numbers: Iterable[int]) -> Iterator[bytes]:
    """The texts of the records with these numbers, which ascend."""
    current, texts = -1, [b""]
    with fetched.file.open("rb") as file:
        for number in numbers:
            part, place = divmod(number, _PART)
            if part != current:
                file.seek(sum(fetched.parts[:part]))
                current, texts = part, file.read(fetched.parts[part]).split(_SEPARATOR)
            yield texts[place]


def exchange(fetched: Fetched, texts: Mapping[int, bytes]) -> Fetched:
    """The same answer with other texts for the records with these numbers, in its old place."""
    of_part: dict[int, list[int]] = {}
    for number in texts:
        of_part.setdefault(number // _PART, []).append(number)
    new = fetched.file.with_name(f"{fetched.file.name}-new")
    parts: list[int] = []
    with fetched.file.open("rb") as file, new.open("xb") as changed:
        for part, size in enumerate(fetched.parts):
            joined = file.read(size)
            if part in of_part:
                pieces = joined.split(_SEPARATOR)
                for number in of_part[part]:
                    pieces[number % _PART] = texts[number]
                joined = _SEPARATOR.join(pieces)
            parts.append(changed.write(joined))
    new.replace(fetched.file)
    return replace(fetched, parts=tuple(parts))


def write(path: Path, answers: Iterable[Fetched], load_id: str) -> list[Fetched]:
    """Write all records of `answers` to a new file in their order; returns the answers, whose own files are
    gone.
    """
    written: list[Fetched] = []
    with path.open("xb") as file:
        file.write(_SIGNATURE)
        for answer in answers:
            row_end = _row_end(answer, load_id)
            with answer.file.open("rb") as waiting:
                for size in answer.parts:
                    texts = waiting.read(size).split(_SEPARATOR)
                    rows = [row_end] * (3 * len(texts))
                    rows[0::3] = [_HEAD.pack(len(COLUMNS), len(text) + 1, _JSONB_VERSION) for text in texts]
                    rows[1::3] = texts
                    file.write(b"".join(rows))
            answer.file.unlink()
            written.append(answer)
        file.write(_END)
    return written


def restored(path: Path, written: Iterable[Fetched], load_id: str, folder: Path) -> Iterator[Fetched]:
    """The answers as they were before `write` wrote them to `path`, one by one, their files in `folder`; suspects are
    looked for.
    """
    with path.open("rb") as rows:
        rows.seek(len(_SIGNATURE))
        for number, answer in enumerate(written):
            file = folder / f"restored-{number}"
            suspects: list[int] = []
            parts = _put(_texts(rows, answer.records, len(_row_end(answer, load_id))), file, suspects)
            yield replace(answer, file=file, parts=parts, suspects=tuple(suspects))


def _texts(rows: BinaryIO, records: int, row_end: int) -> Iterator[bytes]:
    """The texts of the next rows, so many as `records`, each with `row_end` bytes of other fields."""
    for _ in range(records):
        _, size, _ = _HEAD.unpack(rows.read(_HEAD.size))
        yield rows.read(size - 1)
        rows.read(row_end)


def _row_end(answer: Fetched, load_id: str) -> bytes:
    """The fields after the record, each behind its size: microseconds since the start of 2000, and a text."""
    microseconds = (answer.fetched_at - _EPOCH) // timedelta(microseconds=1)
    text = load_id.encode()
    return struct.pack(">iq", 8, microseconds) + struct.pack(">i", len(text)) + text


def _put(texts: Iterable[bytes | Raw], path: Path, suspects: list[int] | None) -> tuple[int, ...]:
    """Write the texts to a new file; `suspects`, if given, gets the numbers of those with a suspicious number."""
    remaining = iter(texts)
    sizes: list[int] = []
    with path.open("xb") as file:
        while part := list(islice(remaining, _PART)):
            joined = _SEPARATOR.join(part)
            if suspects is not None:
                suspects.extend(_suspects(part, joined, len(sizes) * _PART))
            sizes.append(file.write(joined))
    return tuple(sizes)


def _suspects(texts: Sequence[bytes | Raw], joined: bytes, first: int) -> list[int]:
    """The numbers of the suspects of a part that begins with number `first`."""
    found: set[int] = set()
    for exponent in _EXPONENTS:
        number = seen = 0
        for match in exponent.finditer(joined):
            number += joined.count(_SEPARATOR, seen, match.start())
            seen = match.start()
            found.add(number)
    lengths = list(map(len, texts))
    if max(lengths) >= _LONG:
        found.update(
            number
            for number, length in enumerate(lengths)
            if length >= _LONG and _LONG_NUMBER.search(as_bytes(texts[number]))
        )
    return sorted(first + number for number in found)

"""Fetched slices -> the file a load imports, and back.

The file is CSV for COPY, but quoted and delimited by control characters, which JSON texts can't hold: so
records are written as they are, with nothing doubled. They are quoted only where they have line breaks, for
COPY reads plain fields faster. The first line names the columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from ingestion.api import Answer
from ingestion.records import Raw, as_bytes
from ingestion.windows import Window

COLUMNS = ("record", "fetched_at", "_dlt_load_id")
QUOTE, DELIMITER = "\x01", "\x02"
_QUOTE, _DELIMITER = QUOTE.encode(), DELIMITER.encode()
# Stands between records until it is known what comes there.
_SEPARATOR = _QUOTE
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
    """One answer whose records wait in `file`: their texts joined by the quote character, in parts of `parts`
    bytes.

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
        file.write(",".join(COLUMNS).encode() + b"\n")
        for answer in answers:
            row_end = _row_end(answer, load_id)
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


def restored(path: Path, written: Iterable[Fetched], load_id: str, folder: Path) -> Iterator[Fetched]:
    """The answers as they were before `write` wrote them to `path`, one by one, their files in `folder`; suspects are
    looked for.
    """
    with path.open("rb") as rows:
        rows.readline()
        for number, answer in enumerate(written):
            row_end = _row_end(answer, load_id)
            file = folder / f"restored-{number}"
            suspects: list[int] = []
            with file.open("xb") as waiting:
                for part, size in enumerate(answer.parts):
                    first = part * _PART
                    records = min(answer.records - first, _PART)
                    quote = _QUOTE if rows.peek(1).startswith(_QUOTE) else b""
                    around = len(row_end) + 2 * len(quote)
                    block = rows.read(size - (records - 1) + records * around)
                    block = block[len(quote) : len(block) - len(quote + row_end)]
                    joined = block.replace(quote + row_end + quote, _SEPARATOR)
                    suspects.extend(_suspects(joined.split(_SEPARATOR), joined, first))
                    waiting.write(joined)
            yield replace(answer, file=file, suspects=tuple(suspects))


def _row_end(answer: Fetched, load_id: str) -> bytes:
    return f"{DELIMITER}{answer.fetched_at.isoformat()}{DELIMITER}{load_id}\n".encode()


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

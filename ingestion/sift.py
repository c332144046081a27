"""Ask PostgreSQL itself which records its jsonb has no place for: numbers out of range, nesting too deep,
values too large.

Nobody else knows exactly, and asking for each record would cost as much as loading it; so this is done for a
load only after it was refused, and first for the records that hold a number with a long exponent or very many digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from ingestion.records import as_json_string
from ingestion.spool import Fetched, read, repack

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_TEXTS_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 << 20
# COPY may have a little less of the stack left than the question has: records that only just fit are not
# risked.
_DEEPER = 64
# Such numbers may be beyond numeric's range; strings that look alike are asked about for nothing.
_SUSPECT = re.compile(rb"[:\[,]\s*-?[0-9][0-9.]*[eE][+-]?[0-9]{4}|[0-9]{10000}")
_QUESTION = """
    select count((repeat('[', %s) || record || repeat(']', %s))::jsonb)
    from unnest(%s::text[]) as record
"""


def is_refusal(pgcode: str | None) -> bool:
    """Whether PostgreSQL's SQLSTATE says that it could not take the data (data exceptions, limits)."""
    return pgcode is not None and pgcode[:2] in ("22", "54")


def sifted(
    cursor: Cursor, path: Path, written: Iterable[Fetched], folder: Path, thorough: bool
) -> Iterator[Fetched]:
    """The answers of a refused file, with what can't be stored kept as JSON strings of its text.

    Only suspects are asked about unless it is done `thorough`ly. `cursor` must commit each statement by itself;
    the answers wait in new files of `folder`.
    """
    for number, (answer, texts) in enumerate(read(path, written)):
        refused: list[int] = []
        name = f"{'all' if thorough else 'suspects'}-{number}"
        mended = repack(answer, _mended(cursor, texts, refused, thorough), folder / name)
        yield replace(mended, kept_as_text=answer.kept_as_text + len(refused))


def _mended(cursor: Cursor, texts: Iterable[bytes], refused: list[int], thorough: bool) -> Iterator[bytes]:
    """The texts as they can be stored; `refused` gets an entry for each that had to be changed."""
    for batch in _batches(texts):
        asked = [number for number, text in enumerate(batch) if thorough or _SUSPECT.search(text)]
        found = _refused(cursor, [batch[number] for number in asked], 0) if asked else ()
        bad = {asked[number] for number in found}
        refused.extend(bad)
        for number, text in enumerate(batch):
            yield as_json_string(text) if number in bad else text


def _batches(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for text in texts:
        if batch and (len(batch) >= _TEXTS_AT_ONCE or size + len(text) > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _refused(cursor: Cursor, texts: list[bytes], offset: int) -> Iterator[int]:
    """The numbers, from `offset`, of the texts PostgreSQL refuses, found by halving."""
    try:
        cursor.execute(_QUESTION, (_DEEPER, _DEEPER, [text.decode() for text in texts]))
        return
    except psycopg2.Error as error:
        if not is_refusal(error.pgcode):
            raise
    if len(texts) == 1:
        yield offset
        return
    middle = len(texts) // 2
    yield from _refused(cursor, texts[:middle], offset)
    yield from _refused(cursor, texts[middle:], offset + middle)

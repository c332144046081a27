"""Ask PostgreSQL itself which records its jsonb has no place for: numbers out of range, nesting too deep,
values too large.

Nobody else knows exactly, and asking for each record would cost as much as loading it. So it is asked about the few
records with a suspicious number, and about all of them only when a load was refused all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2

from ingestion.records import as_json_string
from ingestion.spool import Fetched, exchange, pick

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_TEXTS_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 << 20
# COPY may have a little less of the stack left than the question has: once it has refused a load, records that
# only just fit are not risked.
_DEEPER = 64
_STACK_USED_UP = "54001"
_QUESTION = """
    select count((repeat('[', %s) || record || repeat(']', %s))::jsonb)
    from unnest(%s::text[]) as record
"""


def is_refusal(pgcode: str | None) -> bool:
    """Whether PostgreSQL's SQLSTATE says that it could not take the data (data exceptions, limits)."""
    return pgcode is not None and pgcode[:2] in ("22", "54")


def sifted(cursor: Cursor, answer: Fetched, thorough: bool = False) -> Fetched:
    """The answer with what can't be stored kept as JSON strings of its text, in the same file.

    Only the suspects are asked about, and what depends on the room that COPY finds is left to it, unless it is done
    `thorough`ly. `cursor` must commit each statement by itself.
    """
    numbers = range(answer.records) if thorough else answer.suspects
    exchanged: dict[int, bytes] = {}
    for batch in _batches(zip(numbers, pick(answer, numbers), strict=True)):
        for number, text in _refused(cursor, batch, thorough):
            exchanged[number] = as_json_string(text)
    if not exchanged:
        return answer
    return replace(exchange(answer, exchanged), kept_as_text=answer.kept_as_text + len(exchanged))


def _batches(texts: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, text in texts:
        if batch and (len(batch) >= _TEXTS_AT_ONCE or size + len(text) > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append((number, text))
        size += len(text)
    if batch:
        yield batch


def _refused(cursor: Cursor, texts: list[tuple[int, bytes]], thorough: bool) -> Iterator[tuple[int, bytes]]:
    """Those PostgreSQL refuses, found by halving."""
    deeper = _DEEPER if thorough else 0
    try:
        cursor.execute(_QUESTION, (deeper, deeper, [text.decode() for _, text in texts]))
        return
    except psycopg2.Error as error:
        code = error.pgcode
        if not is_refusal(code):
            raise
    if len(texts) > 1:
        middle = len(texts) // 2
        yield from _refused(cursor, texts[:middle], thorough)
        yield from _refused(cursor, texts[middle:], thorough)
    elif thorough or code != _STACK_USED_UP:
        yield texts[0]

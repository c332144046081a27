"""An answer's body -> the text of each record, as it came.

Nothing is decoded and encoded again: records are cut out of the body. Touched is only what PostgreSQL's jsonb
has no place for: NUL characters and lone surrogates become U+FFFD, and an element that is JSON only by a
lenient reading (NaN, Infinity, raw control characters) is kept as a JSON string of its text. What else
PostgreSQL refuses it tells itself while loading (`ingestion.sift`).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

# The escapes that stand for NUL, for a pair of surrogates or for a lone one, if no backslash before them takes theirs.
_SUSPECT = re.compile(
    rb"\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BACKSLASH = 0x5C
_ESCAPE_LENGTH, _PAIR_LENGTH = 6, 12
# U+FFFD in a spelling of our own, so that the records it was put into can be counted.
_REPLACED = b"\\uFffD"
_REPLACED_RAW = "\ufffd".encode()
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]|[^\[\]{},"]+|"', re.DOTALL)
# Never JSON, though a text nested too deep to be read here might hold one.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DECODE_STEP = 1 << 20
_COUNTED_AT_ONCE = 2000
_SEPARATOR = 0x01
_BLANK = b" \t\r\n"

Raw = msgspec.Raw


class BrokenBodyError(Exception):
    """The body is no list of records. `cut_short` tells that asking again may help; the text is fit for a
    message.
    """

    def __init__(self, message: str, cut_short: bool) -> None:
        super().__init__(message)
        self.cut_short = cut_short


@dataclass(frozen=True)
class Records:
    """The records of one answer, in the API's order: one UTF-8 JSON text each, without raw control characters
    below U+0009. `repaired` counts those with replaced characters, `kept_as_text` those that became a JSON
    string.
    """

    texts: Sequence[bytes | Raw]
    repaired: int = 0
    kept_as_text: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def split(body: bytes | bytearray) -> Records:
    """Cut `body`, a JSON list in UTF-8 with or without a byte order mark, into the texts of its elements.

    Raises BrokenBodyError when it is anything else.
    """
    if body.startswith(codecs.BOM_UTF8):
        body = body[len(codecs.BOM_UTF8) :]
    _check_is_list(body)
    _check_utf8(body)
    repaired = False
    # Most bodies have no escapes at all, which is seen much faster.
    if b"\\" in body and _SUSPECT.search(body):
        mended = _SUSPECT.sub(_mend_escape, body)
        repaired = _REPLACED in mended
        body = mended
    if 0x00 not in body and _SEPARATOR not in body:
        texts = _cut(body)
        if texts is not None:
            return Records(texts, repaired=_count_repaired(texts) if repaired else 0)
    return _split_leniently(bytes(body))


def as_bytes(text: bytes | Raw) -> bytes:
    """The bytes of one record's text."""
    return text if isinstance(text, bytes) else bytes(memoryview(text))


def as_json_string(text: bytes) -> bytes:
    """A JSON string whose value is `text` (valid UTF-8)."""
    return msgspec.json.encode(text.decode())


def _check_is_list(body: bytes | bytearray) -> None:
    head = bytes(body[:4096]).lstrip(_BLANK)[:1]
    if not head:
        head = bytes(body.lstrip(_BLANK)[:1])
    if head == b"[":
        return
    if not head:
        raise BrokenBodyError("an empty body instead of a JSON list", cut_short=True)
    kinds = {b"<": "an HTML or XML page", b"{": "a JSON object"}
    raise BrokenBodyError(f"{kinds.get(head, 'something else')} instead of a JSON list", cut_short=False)


def _check_utf8(body: bytes | bytearray) -> None:
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, cut_short = 0, False
    try:
        for offset in range(0, len(body), _DECODE_STEP):  # noqa: B007 the last one is told
            decoder.decode(body[offset : offset + _DECODE_STEP])
        cut_short = True
        decoder.decode(b"", final=True)
        return
    except UnicodeDecodeError:
        pass
    raise BrokenBodyError(f"bytes that are not UTF-8 (near byte {offset})", cut_short)


def _mend_escape(match: re.Match[bytes]) -> bytes:
    escape, start = match[0], match.start()
    before = start
    while before and match.string[before - 1] == _BACKSLASH:
        before -= 1
    if (start - before) % 2:
        # It is no escape but the text of one, and what would be its second half stands alone.
        return escape[:_ESCAPE_LENGTH] + (_REPLACED if len(escape) == _PAIR_LENGTH else b"")
    return escape if len(escape) == _PAIR_LENGTH else _REPLACED


def _count_repaired(texts: Sequence[Raw]) -> int:
    """How many of the texts hold a replacement: joined they are searched faster than one by one."""
    separator = bytes([_SEPARATOR])
    count = 0
    for start in range(0, len(texts), _COUNTED_AT_ONCE):
        joined = separator.join(texts[start : start + _COUNTED_AT_ONCE])
        end = 0
        while end >= 0 and (found := joined.find(_REPLACED, end)) >= 0:
            count += 1
            end = joined.find(separator, found)
    return count


def _cut(body: bytes | bytearray) -> list[Raw] | None:
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _split_leniently(body: bytes) -> Records:
    """The slow way, for bodies that are a list with elements of which some are not quite JSON."""
    texts: list[bytes] = []
    repaired = kept_as_text = 0
    for element in _elements(body):
        text = element.replace(b"\x00", _REPLACED_RAW)
        repaired += text != element or _REPLACED in text
        if _CONTROL.search(text) or not _is_json(text, strict=True):
            if not _is_json(text, strict=False):
                raise BrokenBodyError("a list with an element that is not JSON", cut_short=True)
            text = as_json_string(text)
            kept_as_text += 1
        texts.append(text)
    return Records(texts, repaired, kept_as_text)


def _elements(body: bytes) -> Iterator[bytes]:
    """Cut at the commas between the outermost brackets."""
    broken = BrokenBodyError("a JSON list that is cut short or broken", cut_short=True)
    body = body.strip(_BLANK)
    if not body.endswith(b"]"):
        raise broken
    closers: list[bytes] = []
    start = 1
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in (b"[", b"{"):
            closers.append(b"]" if token == b"[" else b"}")
        elif token in (b"]", b"}"):
            if not closers or closers.pop() != token:
                raise broken
            if not closers:
                if match.end() != len(body):
                    raise broken
                last = body[start : match.start()].strip(_BLANK)
                if last:
                    yield last
                elif start > 1:
                    raise broken
                return
        elif token == b"," and len(closers) == 1:
            yield body[start : match.start()].strip(_BLANK)
            start = match.end()
        elif token == b'"':
            raise broken
    raise broken


def _is_json(text: bytes, strict: bool) -> bool:
    """Whether Python's reader takes it; not strictly, it takes NaN, Infinity and raw control characters too.

    Nested deeper than it reads counts as JSON: PostgreSQL has the last word on that.
    """
    constant: Callable[[str], Any] = _refuse if strict else str
    try:
        json.loads(text.decode(), strict=strict, parse_int=str, parse_float=str, parse_constant=constant)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_DECODER = msgspec.json.Decoder(list[Raw])

"""An answer's body -> the text of each record, as jsonb can hold it.

Records are cut out of the body and stay as the API wrote them, but NUL characters and lone surrogates
become U+FFFD. A record that jsonb has no room for (see `_fits_jsonb`), or that is JSON only by a lenient
reading (NaN, Infinity, raw control characters), becomes a JSON string of its text.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec

# A byte that no text of a record holds, so it can stand between them.
SEPARATOR = b"\x01"
# Python reads JSON of about 1,000 levels, so deeper texts can't be checked here. PostgreSQL's default
# max_stack_depth of 2 MB is enough for several thousand.
DEPTH_MOST = 900
# The limits of PostgreSQL's numeric, and of the exponents that all its versions read.
DIGITS_BEFORE_POINT_MOST = 131_072
DIGITS_AFTER_POINT_MOST = 16_383
EXPONENT_MOST = 2**30 - 2
# One jsonb value can take 256 MiB. A container or a number takes up to 16 bytes besides its text, so a
# text that is short, or of few values, always fits.
_ALWAYS_FITS = 32 << 20
_VALUES_MOST = 4 << 20
# Up to this length only an exponent can be a problem: nesting needs two brackets a level.
_SHORT = 2 * DEPTH_MOST

# Escapes of NUL, of a pair of surrogates or of a lone one, unless the backslash is itself escaped.
_SUSPECT_ESCAPE = re.compile(
    rb"\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BACKSLASH = 0x5C
_ESCAPE_LENGTH, _PAIR_LENGTH = 6, 12
# U+FFFD in a spelling nobody else uses, so that the records with replacements can be counted.
_REPLACED = b"\\uFffD"
_REPLACED_RAW = "\ufffd".encode()
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]|[^\[\]{},"]+|"', re.DOTALL)

# Without an exponent of four digits, a number out of range has a run of at least this many digits.
_MANY_DIGITS = DIGITS_AFTER_POINT_MOST - 999
_LONG_NUMBER = re.compile(rb"(?<![0-9])[0-9]{%d}" % _MANY_DIGITS)
_LONG_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{4,}(?:[ \t\r\n,\]}]|\Z)")
# With digits as 0 and all that may follow a number as a comma, most bodies need no regular expression.
_NUMBER_BYTES = bytes.maketrans(b"123456789 \t\r\n]}", b"000000000,,,,,,")
_MANY_DIGITS_END = b"0000,"
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NUMBER = re.compile(rb"([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_STEPS = [0] * 256
for _opener, _closer in (b"[]", b"{}"):
    _STEPS[_opener], _STEPS[_closer] = 1, -1

_DECODE_STEP = 1 << 20
_BLANK = b" \t\r\n"

Raw = msgspec.Raw
_DECODER = msgspec.json.Decoder(list[Raw])


class BrokenBodyError(Exception):
    """The body is no list of records; its text is not quoted. `cut_short`: another request may help."""

    def __init__(self, message: str, cut_short: bool) -> None:
        super().__init__(message)
        self.cut_short = cut_short


@dataclass(frozen=True)
class Records:
    """The records of one answer, in the API's order: one UTF-8 JSON text each.

    `repaired` counts those with replaced characters, `kept_as_text` those that became a JSON string.
    """

    texts: Sequence[bytes | Raw]
    repaired: int = 0
    kept_as_text: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def split(body: bytes | bytearray) -> Records:
    """Cut `body`, a JSON list in UTF-8 with or without a byte order mark, into records. Raises BrokenBodyError."""
    if body.startswith(codecs.BOM_UTF8):
        body = body[len(codecs.BOM_UTF8) :]
    _check_is_list(body)
    _check_utf8(body)
    is_repaired = False
    # Most bodies have no escapes at all, which is found out much faster.
    if b"\\" in body and _SUSPECT_ESCAPE.search(body):
        body = _SUSPECT_ESCAPE.sub(_replace_escape, body)
        is_repaired = _REPLACED in body
    if 0x00 not in body and SEPARATOR not in body:
        with suppress(msgspec.MsgspecError, RecursionError):
            texts = _DECODER.decode(body)
            repaired = sum(_REPLACED in as_bytes(text) for text in texts) if is_repaired else 0
            storable, kept_as_text = _make_storable(body, texts)
            return Records(storable, repaired, kept_as_text)
    return _split_leniently(bytes(body))


def as_bytes(text: bytes | Raw) -> bytes:
    """The bytes of one record's text."""
    return text if isinstance(text, bytes) else bytes(memoryview(text))


def as_json_string(text: bytes) -> bytes:
    """A JSON string whose value is `text` (valid UTF-8)."""
    return msgspec.json.encode(text.decode())


def _check_is_list(body: bytes | bytearray) -> None:
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
    # A step at a time: all of it as a str could take four times the memory.
    decoder = codecs.getincrementaldecoder("utf-8")()
    for offset in range(0, len(body), _DECODE_STEP):
        is_last = offset + _DECODE_STEP >= len(body)
        try:
            decoder.decode(body[offset : offset + _DECODE_STEP], is_last)
        except UnicodeDecodeError as error:
            cut_short = is_last and error.reason == "unexpected end of data"
            raise BrokenBodyError(f"bytes that are not UTF-8 (near byte {offset})", cut_short) from None


def _replace_escape(match: re.Match[bytes]) -> bytes:
    escape, start = match[0], match.start()
    before = start
    while before and match.string[before - 1] == _BACKSLASH:
        before -= 1
    if (start - before) % 2:
        # The backslash is escaped, so this is no escape, and what would be its second half stands alone.
        return escape[:_ESCAPE_LENGTH] + (_REPLACED if len(escape) == _PAIR_LENGTH else b"")
    return escape if len(escape) == _PAIR_LENGTH else _REPLACED


def _make_storable(body: bytes | bytearray, texts: Sequence[Raw]) -> tuple[Sequence[bytes | Raw], int]:
    """The texts, with what jsonb has no room for as JSON strings; and how many these are."""
    any_exponent = _MANY_DIGITS_END in body.translate(_NUMBER_BYTES) and _LONG_EXPONENT.search(body)
    if not any_exponent and max(map(len, texts), default=0) <= _SHORT:
        return texts, 0
    changed: list[bytes | Raw] = list(texts)
    kept_as_text = 0
    for number, text in enumerate(texts):
        if any_exponent or len(text) > _SHORT:
            whole = as_bytes(text)
            if not _fits_jsonb(whole):
                changed[number] = as_json_string(whole)
                kept_as_text += 1
    return changed, kept_as_text


def _fits_jsonb(text: bytes) -> bool:
    """Whether PostgreSQL's jsonb has room for this JSON: all its numbers, its depth, its size."""
    openers = text.count(b"[") + text.count(b"{")
    has_suspect_number = _LONG_EXPONENT.search(text) or (len(text) > _MANY_DIGITS and _LONG_NUMBER.search(text))
    if openers <= DEPTH_MOST and not has_suspect_number and len(text) <= _ALWAYS_FITS:
        return True
    without_strings = _STRING.sub(b'""', _ESCAPE.sub(b"", text))
    values = sum(map(without_strings.count, (b"[", b"{", b",")))
    return (
        (openers <= DEPTH_MOST or max(accumulate(map(_STEPS.__getitem__, without_strings))) <= DEPTH_MOST)
        and (len(text) <= _ALWAYS_FITS or values <= _VALUES_MOST)
        and all(_fits_numeric(*match.groups(b"")) for match in _NUMBER.finditer(without_strings))
    )


def _fits_numeric(whole: bytes, fraction: bytes, exponent: bytes) -> bool:
    """Whether PostgreSQL's numeric can hold the number with these digits before and after its point."""
    power = exponent.lstrip(b"+-0")
    if len(power) > len(str(EXPONENT_MOST)):
        return False
    shift = -int(power or b"0") if exponent.startswith(b"-") else int(power or b"0")
    digits = whole + fraction
    leading_zeros = len(digits) - len(digits.lstrip(b"0"))
    return (
        abs(shift) <= EXPONENT_MOST
        and len(fraction) - shift <= DIGITS_AFTER_POINT_MOST
        and (leading_zeros == len(digits) or len(whole) - leading_zeros + shift <= DIGITS_BEFORE_POINT_MOST)
    )


def _split_leniently(body: bytes) -> Records:
    """The slow way, for bodies that are a list with elements of which some are not quite JSON."""
    texts: list[bytes] = []
    repaired = kept_as_text = 0
    for element in _elements(body):
        text = element.replace(b"\x00", _REPLACED_RAW)
        repaired += text != element or _REPLACED in text
        is_json = _is_json(text, strict=True)
        if not is_json and not _is_json(text, strict=False):
            raise BrokenBodyError("a list with an element that is not JSON", cut_short=True)
        if not is_json or not _fits_jsonb(text):
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

    What is nested deeper than it reads is taken only not strictly, so that it is kept as text.
    """
    constant: Callable[[str], Any] = _refuse if strict else str
    try:
        json.loads(text.decode(), strict=strict, parse_int=str, parse_float=str, parse_constant=constant)
    except RecursionError:
        return not strict
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)

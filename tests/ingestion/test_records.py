"""Records are cut out of the body as they came."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.records import BrokenBodyError, split

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def texts(body: bytes) -> list[bytes]:
    return [bytes(text) for text in split(body).texts]


@pytest.mark.parametrize(
    "record",
    [
        '{"a": 123456789012345678901234567890}',
        '{"a": 1e400, "b": 0.10, "c": -0, "d": 1E+2}',
        '{"a": 1, "a": 2}',
        '{ "a" :\n\t[ 1 , 2 ] }',
        '{"имя": "Ёж \\u0401 \\ud83d\\ude00 😀", "quote": "\\"", "slash": "\\/\\\\", "comma": "],}{["}',
        '"\\\\u0000 is no NUL, \\\\ud800 no surrogate"',
        "[[], {}]",
        "null",
        "true",
        '""',
        "7",
    ],
)
def test_a_record_is_kept_verbatim(record: str) -> None:
    assert texts(f" [ {record} ,\r\n{record}]\n".encode()) == [record.encode()] * 2
    assert texts(b"\xef\xbb\xbf[" + record.encode() + b"]") == [record.encode()]


@given(st.lists(json_values, max_size=5), st.booleans())
def test_any_list_is_cut_into_its_elements(values: list[Any], ascii_only: bool) -> None:
    body = json.dumps(values, ensure_ascii=ascii_only).encode("utf-8", "replace")
    if "\\u0000" in body.decode() or "\\ud" in body.decode():
        return
    assert [json.loads(text) for text in texts(body)] == json.loads(body)


@given(st.lists(json_values, max_size=4), json_values)
def test_the_slow_way_cuts_like_the_fast_one(values: list[Any], value: Any) -> None:
    body = json.dumps([*values, value], ensure_ascii=False).replace("\\u0000", "").encode("utf-8", "replace")
    with_nan = body[:-1] + b", NaN]"
    assert [json.loads(text) for text in texts(with_nan)[:-1]] == json.loads(body)
    assert texts(with_nan)[-1] == b'"NaN"'


@pytest.mark.parametrize(
    ("record", "stored"),
    [
        (r'"a\u0000b"', "a\ufffdb"),
        (r'"\\\u0000"', "\\\ufffd"),
        (r'"\ud800"', "\ufffd"),
        (r'"\uDC00\uD83D\uDE00\uD83D"', "\ufffd\U0001f600\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\ud83d\u0000"', "\ufffd\ufffd"),
        (r'"\\ud83d\ude00"', "\\ud83d\ufffd"),
        (r'"\\\ud83d\ud83d\ude00\\\\u0000"', "\\\ufffd\U0001f600\\\\u0000"),
        ('"a\x00b"', "a\ufffdb"),
    ],
)
def test_nul_and_lone_surrogates_become_replacement_characters(record: str, stored: str) -> None:
    records = split(f'[{record}, "good \\ud83d\\ude00"]'.encode())
    assert [json.loads(bytes(text)) for text in records.texts] == [stored, "good \U0001f600"]
    assert (records.repaired, records.kept_as_text) == (1, 0)


pieces = st.lists(
    st.sampled_from(
        ["\\", "\\\\", "\\u0000", "\\ud83d", "\\uDE00", "\\u0416", "\\n", '\\"', "u0000", "ud83d", "x"]
    ),
    max_size=8,
)


@given(st.lists(pieces.map("".join), max_size=4))
def test_replacements_are_what_python_would_make_of_the_text(values: list[str]) -> None:
    good = [text for text in (f'"{value}"' for value in values) if is_json(text)]
    records = split(f"[{','.join(good)}]".encode())
    whole = [json.loads(text) for text in good]
    mended = [re.sub("[\0\ud800-\udfff]", "\ufffd", value) for value in whole]
    assert [json.loads(bytes(text)) for text in records.texts] == mended
    assert records.repaired == sum(left != right for left, right in zip(whole, mended, strict=True))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_each_repaired_record_counts_once() -> None:
    body = ", ".join(r'"\u0000 \u0000"' if number % 3 == 0 else '"x"' for number in range(5_000))
    assert split(f"[{body}]".encode()).repaired == 1_667


@pytest.mark.parametrize(
    "record", ['{"a": NaN}', "-Infinity", '{"a": [Infinity]}', '"tab\there"', '"line\nbreak"', '"\x01\x1f"']
)
def test_what_is_json_only_by_a_lenient_reading_is_kept_as_text(record: str) -> None:
    records = split(f'[{{"a": 1}}, {record} , 2]'.encode())
    assert [json.loads(bytes(text)) for text in records.texts] == [{"a": 1}, record, 2]
    assert (records.repaired, records.kept_as_text) == (0, 1)


def test_deep_nesting_is_left_to_postgresql() -> None:
    deep = "[" * 20_000 + "]" * 20_000
    records = split(f"[1, {deep}]".encode())
    assert [bytes(text) for text in records.texts] == [b"1", deep.encode()]


def test_deep_nesting_with_control_characters_is_kept_as_text() -> None:
    deep = "[" * 20_000 + '"\x01\x02"' + "]" * 20_000
    records = split(f"[{deep}]".encode())
    assert [json.loads(bytes(text)) for text in records.texts] == [deep]
    assert records.kept_as_text == 1


def test_an_empty_list_is_a_quiet_day() -> None:
    assert len(split(b" [ ] ")) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"[",
        b'[{"a": 1}, {"a"',
        b'[{"a": 1}',
        b"[1, 2",
        b"[1, 2,]",
        b"[1, 2]]",
        b"[1] [2]",
        b"[[1]",
        b'[{"a" 1}]',
        b"[01]",
        b"[tru]",
        b'["\\x"]',
        b'["\xd0',
        b"[NaN",
        b"[NaN,]",
        b"[{]}",
    ],
)
def test_a_body_that_is_cut_short_or_broken_is_an_error_worth_another_try(body: bytes) -> None:
    with pytest.raises(BrokenBodyError) as caught:
        split(body)
    assert caught.value.cut_short


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no"}', "a JSON object"),
        (b" <html></html>", "an HTML"),
        (b"null", "something else"),
        (b'["\xff\xfe"]', "not UTF-8"),
        ('["\ud800"]'.encode("utf-8", "surrogatepass"), "not UTF-8"),
    ],
)
def test_a_body_that_is_something_else_is_an_error_at_once(body: bytes, words: str) -> None:
    with pytest.raises(BrokenBodyError, match=words) as caught:
        split(body)
    assert not caught.value.cut_short


def test_a_broken_body_is_never_told_with_its_content() -> None:
    with pytest.raises(BrokenBodyError) as caught:
        split(b'[{"lti_user_id": "somebody", }]')
    assert "somebody" not in str(caught.value)

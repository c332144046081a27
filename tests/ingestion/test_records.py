"""Records are cut out of the body as they came."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import records as records_module
from ingestion.records import DEPTH_MOST, BrokenBodyError, as_bytes, as_json_string, split
from ingestion.warehouse import Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@pytest.fixture(scope="module")
def cursor(server: Warehouse) -> Iterator[Cursor]:
    """On a connection whose every statement is a transaction of its own."""
    with closing(server.connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


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
    st.sampled_from(["\\", "\\\\", "\\u0000", "\\ud83d", "\\uDE00", "\\u0416", "\\n", '\\"', "u0000", "ud83d", "x"]),
    max_size=8,
)


@given(st.lists(pieces.map("".join), max_size=4))
def test_replacements_are_what_python_would_make_of_the_text(values: list[str]) -> None:
    good = [text for text in (f'"{value}"' for value in values) if is_json(text)]
    records = split(f"[{','.join(good)}]".encode())
    whole = [json.loads(text) for text in good]
    expected = [re.sub("[\0\ud800-\udfff]", "\ufffd", value) for value in whole]
    assert [json.loads(bytes(text)) for text in records.texts] == expected
    assert records.repaired == sum(left != right for left, right in zip(whole, expected, strict=True))


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


@pytest.mark.parametrize(("opening", "closing", "levels"), [("[", "]", 1), ('{"a":', "}", 1), ('[{"a":[', "]}]", 3)])
def test_nesting_over_a_fixed_depth_is_kept_as_text(cursor: Cursor, opening: str, closing: str, levels: int) -> None:
    deepest, deeper = (
        opening * count + "1" + closing * count for count in (DEPTH_MOST // levels, DEPTH_MOST // levels + 1)
    )
    records = split(f'[{deepest}, {deeper}, "{"[" * 5_000}", [{"[], " * 5_000}[]]]'.encode())
    assert [bytes(text).decode() for text in records.texts] == [
        deepest,
        json.dumps(deeper),
        f'"{"[" * 5_000}"',
        f"[{'[], ' * 5_000}[]]",
    ]
    assert records.kept_as_text == 1
    cursor.execute("create temporary table deep (record jsonb)")
    cursor.copy_expert("copy deep from stdin", io.BytesIO(bytes(records.texts[0])))
    cursor.execute("drop table deep")


@pytest.mark.parametrize("depth", [DEPTH_MOST // 2, DEPTH_MOST, 980, 2_000, 20_000])
def test_only_json_counts_as_a_record_however_deep(depth: int) -> None:
    broken = f"[1, {'[' * depth}tru{']' * depth}]".encode()
    if depth <= DEPTH_MOST:
        with pytest.raises(BrokenBodyError):
            split(broken)
    else:
        assert split(broken).kept_as_text == 1


def test_deep_nesting_with_control_characters_is_kept_as_text() -> None:
    deep = "[" * 20_000 + '"\x01\x02"' + "]" * 20_000
    records = split(f"[{deep}]".encode())
    assert [json.loads(bytes(text)) for text in records.texts] == [deep]
    assert records.kept_as_text == 1


digits = st.one_of(
    st.integers(1, 3),
    st.sampled_from([9_999, 10_000, 15_384, 16_383, 16_384, 130_073, 131_072, 131_073]),
)
exponents = st.builds(
    "{}{}{}".format,
    st.sampled_from("eE"),
    st.sampled_from(["", "+", "-"]),
    st.one_of(
        st.sampled_from(["0", "7", "20", "999", "1000", "00001", "16382", "16383", "16384"]),
        st.sampled_from(["131070", "131071", "131072", "131073", "999999"]),
        st.sampled_from(["1073741822", "1073741824", "2147483647", "99999999999999999999", "1" * 5_000]),
    ),
)
zeros = st.one_of(st.just(0), st.integers(0, 3), st.sampled_from([16_380, 16_382, 16_383]))
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.one_of(st.just("0"), digits.map(lambda count: "7" * count)),
    st.one_of(
        st.just(""),
        st.builds(lambda empty, count: "." + "0" * empty + "3" * count, zeros, digits),
        st.just(".0"),
    ),
    st.one_of(st.just(""), exponents),
)
numbered_records = st.builds(
    lambda shape, number: shape.replace("?", number).encode(),
    st.sampled_from(
        [
            "?",
            "[?]",
            '{"n":?}',
            '{"n": [1 , ? , "x"], "m": {"k": ?\n}}',
            '{"n"\t:\t?\t}',
            '{"s": "?"}',
            '{"s": "a?, b\\" ? ] }"}',
            '{"s": "\\\\", "n": ?, "t": "\\\\"}',
            '{"lti_user_id": "1?", "is_correct": 1}',
            '{"ключ?": "🙂"}',
        ]
    ),
    numbers,
)


def is_storable(cursor: Cursor, text: bytes) -> bool:
    try:
        cursor.execute("select %s::jsonb is not null", (text.decode(),))
    except psycopg2.DataError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(numbered_records, min_size=1, max_size=10))
def test_a_record_is_kept_as_text_exactly_when_postgresql_has_no_room_for_it(
    cursor: Cursor, values: list[bytes]
) -> None:
    records = split(b"[" + b",".join(values) + b"]")
    storable = [is_storable(cursor, text) for text in values]
    assert [as_bytes(text) for text in records.texts] == [
        text if good else as_json_string(text) for text, good in zip(values, storable, strict=True)
    ]
    assert records.kept_as_text == storable.count(False)


@pytest.mark.parametrize(
    "number",
    [
        "1e131071",
        "1e131072",
        "0.01e131073",
        "0.01e131074",
        "1e-16383",
        "1.0e-16383",
        "0e-16384",
        "0e1073741822",
    ],
)
def test_the_borders_of_numeric(cursor: Cursor, number: str) -> None:
    assert split(f"[{number}]".encode()).kept_as_text == (not is_storable(cursor, number.encode()))


def test_a_record_of_too_many_values_for_one_jsonb_is_kept_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "_ALWAYS_FITS", 10_000)
    monkeypatch.setattr(records_module, "_VALUES_MOST", 1_000)
    fits, long_string, too_many = f"[{'1,' * 999}1]", f'"{"1," * 9_000}"', f"[{'{},' * 4_000}1]"
    records = split(f"[{fits}, {long_string}, {too_many}]".encode())
    assert [bytes(text).decode() for text in records.texts] == [fits, long_string, json.dumps(too_many)]


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 12345678, "m": -1.5e10, "k": 1e999}',
        '{"id": "3e1234", "key": "e1234,", "code": "28FEB2021 12E34567:"}',
        '{"source": "' + "print(1)" * 5_000 + '"}',
    ],
)
def test_ordinary_records_cost_no_second_look(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(records_module, "_NUMBER", None)
    assert split(f"[{text}, {text}]".encode()).kept_as_text == 0


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


def test_a_broken_body_is_never_quoted() -> None:
    with pytest.raises(BrokenBodyError) as caught:
        split(b'[{"lti_user_id": "somebody", }]')
    assert "somebody" not in str(caught.value)

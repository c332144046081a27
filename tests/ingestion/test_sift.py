"""What PostgreSQL can't store is found before it is loaded, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import spool
from ingestion.api import Answer
from ingestion.records import Records, as_json_string, split
from ingestion.sift import sifted
from ingestion.spool import Ask, Fetched, pack
from ingestion.warehouse import Warehouse
from tests.ingestion.fake_api import instant, window

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

DAY = window("2023-04-01", "2023-04-02")


@pytest.fixture(scope="module")
def cursor(server: Warehouse) -> Iterator[Cursor]:
    """On a connection whose every statement is committed by itself."""
    with closing(server.connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[list[bytes]], Fetched]:
    """An answer with these texts, as it waits for its load."""
    return lambda texts: waiting(texts, tmp_path / "answer")


def waiting(texts: list[bytes], file: Path) -> Fetched:
    records = split(b"[" + b",".join(texts) + b"]")
    return pack(Answer(DAY, records, DAY.end, 1, 0.1), Ask(DAY, "round"), file)


def texts_of(answer: Fetched) -> list[bytes]:
    return list(spool.pick(answer, range(answer.records)))


def is_storable(cursor: Cursor, text: bytes) -> bool:
    try:
        cursor.execute("select %s::jsonb is not null", (text.decode(),))
    except psycopg2.DataError:
        return False
    return True


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
        st.sampled_from(["131071", "131072", "999999", "2147483647", "99999999999999999999"]),
    ),
)
numbers = st.builds(
    lambda sign, whole, decimals, exponent: f"{sign}{whole}{decimals}{exponent}",
    st.sampled_from(["", "-"]),
    st.one_of(st.just("0"), digits.map(lambda count: "7" * count)),
    st.one_of(st.just(""), digits.map(lambda count: "." + "3" * count)),
    st.one_of(st.just(""), exponents),
)
records = st.builds(
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
            '{"lti_user_id": "1?", "is_correct": 1}',
            '{"ключ?": "🙂"}',
        ]
    ),
    numbers,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(records, min_size=1, max_size=10))
def test_what_is_stored_is_what_postgresql_says_of_each_record_alone(
    cursor: Cursor, texts: list[bytes]
) -> None:
    with TemporaryDirectory() as folder:
        answer = sifted(cursor, waiting(texts, Path(folder) / "answer"))
        found = texts_of(answer)
    storable = [is_storable(cursor, text) for text in texts]
    assert found == [
        text if good else as_json_string(text) for text, good in zip(texts, storable, strict=True)
    ]
    assert answer.kept_as_text == storable.count(False)


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 12345678, "m": -1.5e10, "k": 1e999}',
        '{"id": "3e1234", "key": "e1234,", "code": "28FEB2021 12E34567:"}',
        '{"source": "' + "print(1)" * 5_000 + '"}',
    ],
)
def test_ordinary_records_are_not_asked_about(packed: Callable[[list[bytes]], Fetched], text: str) -> None:
    assert packed([text.encode()] * 3).suspects == ()


def test_suspects_are_found_wherever_they_are(
    cursor: Cursor, packed: Callable[[list[bytes]], Fetched]
) -> None:
    texts = [b'{"n": %d}' % number for number in range(9_001)]
    places = (0, 1, 1_999, 2_000, 5_000, 9_000)
    for place in places:
        texts[place] = b'{"n": %d, "score": 1E999999}' % place
    texts[7] = b'{"n": 7, "score": 1e5000}'
    answer = packed(texts)
    assert answer.suspects == tuple(sorted((*places, 7)))
    mended = sifted(cursor, answer)
    assert mended.kept_as_text == len(places)
    assert texts_of(mended) == [
        as_json_string(text) if number in places else text for number, text in enumerate(texts)
    ]


def test_room_for_nesting_is_left_to_the_load(
    cursor: Cursor, packed: Callable[[list[bytes]], Fetched]
) -> None:
    deep = b"[" * 50_000 + b"1e5000" + b"]" * 50_000
    answer = packed([b"1", deep, b'{"n": 1e999999}'])
    kept = [b"1", deep, as_json_string(b'{"n": 1e999999}')]
    before = sifted(cursor, answer)
    assert texts_of(before) == kept
    thoroughly = sifted(cursor, before, thorough=True)
    assert thoroughly.kept_as_text == 2
    assert texts_of(thoroughly) == [b"1", as_json_string(deep), kept[2]]


texts_with_breaks = st.lists(
    st.sampled_from([b"1", b'{"a": "b"}', b"[1,\n2]", b'{\r\n"a": 1}', b'"' + b"x" * 3_000 + b'"']),
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(texts_with_breaks, st.sampled_from([1, 700])), max_size=4))
def test_a_file_for_the_load_can_be_taken_apart_again(answers: list[tuple[list[bytes], int]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        packed = [
            pack(
                Answer(DAY, Records(texts * times), instant(f"2023-04-0{number + 1}"), 1, 0.1),
                Ask(DAY, "round"),
                folder / str(number),
            )
            for number, (texts, times) in enumerate(answers)
        ]
        before = [texts_of(answer) for answer in packed]
        written = spool.write(folder / "attempts.rows", packed, "123.45")
        restored = [
            texts_of(answer) for answer in spool.restored(folder / "attempts.rows", written, "123.45", folder)
        ]
    assert restored == before == [texts * times for texts, times in answers]

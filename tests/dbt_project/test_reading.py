"""Texts are read by the warehouse exactly as Python reads them, through the very SQL that staging
runs.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dbt_project.oracle_rules import (
    EPOCH,
    clean,
    is_blank,
    micros,
    read_created_at,
    read_json,
    read_repr,
)
from tests.dbt_project.strategies import FIELDS, THOROUGH, instants, json_texts, python_dicts, spoiled
from tests.dbt_project.warehouse import Models

Read = list[str | None] | None
Reader = Callable[[Sequence[str]], list[Any]]

# As staging does: the parts are computed beforehand, the macro takes the quick way or calls the
# function.
_PARAMS = """
    select {{ parse_passback_params('object', 'source', 'parts') }}
    from (
        select n, null::jsonb as object, source,
            string_to_array(source, substr(source, 2, 1)) as parts
        from unnest($texts) with ordinality as texts (source, n)
        offset 0
    ) as texts
    order by n
"""
_OBJECTS = """
    select {{ parse_passback_params('object', 'source', 'parts') }}
    from (
        select n, value::jsonb as object, null as source, null::text[] as parts
        from unnest($texts) with ordinality as texts (value, n)
        offset 0
    ) as texts
    order by n
"""
_IN_ORDER = "from unnest($texts) with ordinality as texts (source, n) order by n"
_FUNCTION = "select {{ function_name('read_passback_text') }}(source) " + _IN_ORDER
_PERCENT = "select {{ function_name('percent_decode') }}(source) " + _IN_ORDER
_BLANK = "select {{ is_blank('source') }} " + _IN_ORDER
_CREATED_AT = """
    select (extract(epoch from instant) * 1000000)::bigint
    from (
        select n, {{ parse_created_at('source', 'shape') }} as instant
        from (
            select n, source, translate(source, '0123456789', '0000000000') as shape
            from unnest($texts) with ordinality as texts (source, n)
            offset 0
        ) as texts
    ) as parsed
    order by n
"""


@pytest.fixture(scope="module")
def compiled(_models: Models) -> Callable[[str], Reader]:
    """Makes a reader of a template: texts in, the values of the only column out."""
    _models.reset()
    _models.dbt.build()

    @cache
    def reader(template: str) -> Reader:
        sql = _models.dbt.compile_inline(template).replace("%", "%%").replace("$texts", "%s::text[]")

        def read(texts: Sequence[str]) -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute(sql, (list(texts),))
                return [value for (value,) in cursor.fetchall()]

        return read

    connection = _models.warehouse.connect()
    connection.autocommit = True
    return reader


@pytest.fixture(scope="module")
def params(compiled: Callable[[str], Reader]) -> Reader:
    return compiled(_PARAMS)


@pytest.fixture(scope="module")
def params_by_function(compiled: Callable[[str], Reader]) -> Reader:
    return compiled(_FUNCTION)


@pytest.fixture(scope="module")
def created_at(compiled: Callable[[str], Reader]) -> Reader:
    return compiled(_CREATED_AT)


def fields(value: dict[Any, Any]) -> list[str | None]:
    """What is to be read of a dict: a letter for each field's kind, then their texts."""
    kinds, texts = "", []
    for name in FIELDS:
        found = value.get(name)
        kinds += "m" if name not in value else "n" if found is None else "s" if isinstance(found, str) else "x"
        texts.append(clean(found) if isinstance(found, str) else None)
    return [kinds, *texts]


def allowed(text: str) -> list[Read]:
    """The readings of a text that are right; more than one where two languages, or a refusal, are."""
    by_language = [read_json(text), read_repr(text)]
    readings: list[Read] = [fields(value) for value in by_language if value is not None]
    must_be_read = by_language[0] is not None or (by_language[1] is not None and repr(by_language[1]) == text)
    return readings if must_be_read else [*readings, None]


@given(st.lists(python_dicts, min_size=1, max_size=30))
@THOROUGH
def test_every_repr_is_read_as_python_reads_it(
    params: Reader, params_by_function: Reader, dicts: list[dict[Any, Any]]
) -> None:
    texts = [repr(value) for value in dicts]
    expected = [fields(value) for value in dicts]
    assert params(texts) == expected
    assert params_by_function(texts) == expected


@given(st.lists(json_texts(), min_size=1, max_size=30))
@THOROUGH
def test_every_json_object_is_read(compiled: Callable[[str], Reader], params: Reader, texts: list[str]) -> None:
    for text, found in zip(texts, params(texts), strict=True):
        assert found in allowed(text), text


@given(st.lists(spoiled(st.one_of(python_dicts.map(repr), json_texts())), min_size=1, max_size=60))
@THOROUGH
def test_what_python_refuses_is_refused(params: Reader, params_by_function: Reader, texts: list[str]) -> None:
    for read in (params, params_by_function):
        for text, found in zip(texts, read(texts), strict=True):
            assert found in allowed(text), text


@given(st.lists(json_texts(), min_size=1, max_size=30))
@THOROUGH
def test_an_object_is_read_like_its_text(compiled: Callable[[str], Reader], texts: list[str]) -> None:
    # PostgreSQL takes no NUL and no halves of pairs: ingestion has replaced them before.
    storable = [text for text in texts if "\\u0000" not in text and "\\ud" not in text]
    expected = [fields(read_json(text) or {}) for text in storable]
    # Of a value that is no string only its kind counts.
    found = [
        [kinds, *(text if kind == "s" else None for kind, text in zip(kinds, texts, strict=True))]
        for kinds, *texts in compiled(_OBJECTS)(storable)
    ]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        "{}}",
        "{{}}",
        "[]",
        "()",
        "None",
        "null",
        "'a'",
        '"{}"',
        "dict()",
        "dict(lis_result_sourcedid='a:b-c:d')",
        "{'lis_result_sourcedid'}",
        "{'lis_result_sourcedid': }",
        "{'lis_result_sourcedid': 'it's'}",
        "{'lis_result_sourcedid': 'a' + 'b'}",
        "{'lis_result_sourcedid': print('a')}",
        "{'lis_result_sourcedid': f'a'}",
        "{'lis_result_sourcedid': 'a\nb'}",
        "{'lis_result_sourcedid': 'a\rb'}",
        "{'lis_result_sourcedid': 'a\\'}",
        "{'lis_result_sourcedid': 'a\\x4'}",
        "{'lis_result_sourcedid': 'a\\U00110000'}",
        "{'lis_result_sourcedid': 'a', {}: 1}",
        "{'lis_result_sourcedid': 'a', [1]: 1}",
        "{'lis_result_sourcedid': 'a', ([],): 1}",
        "{'lis_result_sourcedid': 'a', 'b': {[]}}",
        "{'lis_result_sourcedid': 'a', 'b': (,)}",
        "{'lis_result_sourcedid': 'a', 'b': [1 2]}",
        "{'lis_result_sourcedid': 'a', 'b': b'я'}",
        "{'lis_result_sourcedid': 'a', 'b': 01}",
        "{'lis_result_sourcedid': 'a', 'b': true}",
        "{'lis_result_sourcedid': 'a'} {}",
        "{'lis_result_sourcedid': 'a'}; 1",
        "{'lis_result_sourcedid': 'a'",
        '{"lis_result_sourcedid": "a\tb", \'c\': tru}',
        '{"lis_result_sourcedid": "a", "b": True, "c": null}',
        '{"lis_result_sourcedid": "a",, "b": 1}',
        '{"lis_result_sourcedid": "a", "b": NaN}',
        '{"lis_result_sourcedid": "a", "b": [1}',
        '{"oauth_consumer_key": "", "lis_result_sourcedid": "a\nb", "lis_outcome_service_url": ""}',
        "{'oauth_consumer_key': '', 'lis_result_sourcedid': 'a\nb', 'lis_outcome_service_url': ''}",
        "{'oauth_consumer_key': ''', 'lis_result_sourcedid': a', 'lis_outcome_service_url': ''}",
    ],
)
def test_a_broken_text_is_refused(params: Reader, params_by_function: Reader, text: str) -> None:
    assert allowed(text) == [None]
    assert params([text]) == params_by_function([text]) == [None]


@pytest.mark.parametrize("opening", ["[]", "()", "{}", "[()]", "{():{}}"])
def test_nesting_up_to_100_levels_is_read(params: Reader, opening: str) -> None:
    brackets = {
        "[]": ("[", "]"),
        "()": ("(", ",)"),
        "{}": ("{1: ", "}"),
        "[()]": ("[(", ",)]"),
        "{():{}}": ("{1: ({1: ", "},)}"),
    }
    before, after = brackets[opening]
    levels = 99 // sum(before.count(bracket) for bracket in "[({")
    text = f"{{'lis_result_sourcedid': 'a:b-c:d', 'deep': {before * levels}0{after * levels}}}"
    text = repr(read_repr(text))
    assert params([text]) == [["msm", None, "a:b-c:d", None]]


@pytest.mark.parametrize(
    "filler",
    ["x" * 1_000_000, "it's " * 200_000, "\\\n" * 300_000, "я\x00\ud800🙂" * 100_000, "'\"" * 300_000],
    ids=["plain", "apostrophes", "escapes", "not ASCII", "both quotes"],
)
def test_huge_texts_are_read(params: Reader, filler: str) -> None:
    value = {"note": filler, "lis_result_sourcedid": "a:b-c:d", "oauth_consumer_key": filler}
    assert params([repr(value)]) == [fields(value)]


def test_huge_nested_and_broken_texts_are_dealt_with(params: Reader) -> None:
    many: dict[Any, Any] = {str(n): [n, (n, None), {"a": {n}}] for n in range(20_000)}
    many["lis_result_sourcedid"] = "a:b-c:d"
    texts = [repr(many), repr(many)[:-1], "{" * 100_000, "{'a': " * 5_000, "{" + "'" * 99_999]
    assert params(texts) == [["msm", None, "a:b-c:d", None], None, None, None, None]


@given(st.lists(instants(), min_size=1, max_size=100))
@THOROUGH
def test_created_at_is_read_like_a_calendar_does(created_at: Reader, texts: list[str]) -> None:
    assert _since_2000(created_at(texts)) == _since_2000([read_created_at(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-05-31 09:16:11.313646", "2023-05-31 09:16:11.313646"),
        ("2023-05-31T09:16:11", "2023-05-31 09:16:11"),
        ("2023-05-31 09:16:11.3Z", "2023-05-31 09:16:11.3"),
        ("2023-05-31 09:16:11+03:00", "2023-05-31 06:16:11"),
        ("2023-05-31 22:16:11.000001-05:30", "2023-06-01 03:46:11.000001"),
        ("2024-02-29 00:00:00", "2024-02-29 00:00:00"),
        ("2000-02-29 23:59:59.999999", "2000-02-29 23:59:59.999999"),
        ("2000-01-01 00:00:00", "2000-01-01 00:00:00"),
        ("1999-12-31 23:00:00-01:00", "2000-01-01 00:00:00"),
        ("1999-12-31 00:01:00-23:59", "2000-01-01 00:00:00"),
        ("2000-01-01 00:00:00+00:01", None),
        ("1999-12-31 23:59:59.999999", None),
        ("0000-00-00 00:00:00", None),
        ("2023-02-29 00:00:00", None),
        ("2100-02-29 00:00:00", None),
        ("2023-04-31 00:00:00", None),
        ("2023-05-31 24:00:00", None),
        ("2023-05-31 23:60:00", None),
        ("2016-12-31 23:59:60", None),
        ("2023-05-31 09:16:11.", None),
        ("2023-05-31 09:16:11.1234567", None),
        ("2023-05-31 09:16", None),
        ("2023-05-31", None),
        ("2023-05-31  09:16:11", None),
        ("2023-05-31t09:16:11", None),
        ("2023-05-31 09:16:11z", None),
        ("2023-05-31 09:16:11 Z", None),
        ("2023-05-31 09:16:11+0300", None),
        ("2023-05-31 09:16:11+03", None),
        ("2023-05-31 09:16:11+24:00", None),
        ("2023-05-31 09:16:11+03:60", None),
        ("2023-05-31 09:16:11\n", None),
        ("\n2023-05-31 09:16:11", None),
        (" 2023-05-31 09:16:11", None),
        ("2023-05-31 09:16:11 ", None),
        ("2023-05-31\u00a009:16:11", None),
        ("٢٠٢٣-٠٥-٣١ ٠٩:١٦:١١", None),
        ("2023-05-31 09:16:1１", None),
        ("+2023-05-31 09:16:11", None),
        ("12023-05-31 09:16:11", None),
        ("2023-5-31 9:16:11", None),
        ("31.05.2023 09:16:11", None),
        ("2023-05-31 09:16:11 BC", None),
        ("now", None),
        ("infinity", None),
        ("", None),
    ],
)
def test_created_at_spellings(created_at: Reader, text: str, instant: str | None) -> None:
    expected = None if instant is None else micros(EPOCH.fromisoformat(instant + "+00:00"))
    assert _since_2000(created_at([text])) == _since_2000([read_created_at(text)]) == [expected]


def _since_2000(instants: Sequence[int | None]) -> list[int | None]:
    """Earlier instants are invalid whatever they are read as."""
    dawn = 946_684_800_000_000
    return [instant if instant is not None and instant >= dawn else None for instant in instants]


@given(
    st.lists(
        st.text(
            alphabet=st.one_of(
                st.sampled_from("%%%0123456789abcdefABCDEF+:EeFf8c你"),
                st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
            ),
            max_size=30,
        ),
        min_size=1,
        max_size=50,
    )
)
@THOROUGH
def test_percent_encoding_is_read_as_python_reads_it(compiled: Callable[[str], Reader], texts: list[str]) -> None:
    expected = [unquote(text).replace("\0", "\ufffd") for text in texts]
    assert compiled(_PERCENT)(texts) == expected


def test_blank_is_what_unicode_and_python_call_white_space(compiled: Callable[[str], Reader]) -> None:
    characters = [chr(n) for n in range(1, sys.maxunicode + 1) if unicodedata.category(chr(n)) != "Cs"]
    found = compiled(_BLANK)(characters)
    assert {c for c, blank in zip(characters, found, strict=True) if blank} == {c for c in characters if is_blank(c)}
    assert compiled(_BLANK)(["", " \t\n", "\u3000\x1c", " \u200b", " x ", "\ufffd"]) == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]

"""Hypothesis strategies: `passback_params` in every spelling, and how a spelling gets spoiled."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.dbt_project.oracle_rules import CONSUMER, SOURCEDID, URL, clean

FIELDS = (CONSUMER, SOURCEDID, URL)
# How much more than usual to try; the normal suite is meant to be quick.
EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
_MARKS = "'\"\\{}[](),: bN0x1jue-+._%"
_NASTY = "'\"\\{}[](),:#%\n\r\t\x00\x01\x04\x1f\x7f\x85\u2028\ud800\udfff bnNxuU0"

THOROUGH = settings(
    database=None,
    deadline=None,
    max_examples=50 * EFFORT,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

text = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(_NASTY)), max_size=12)
look_alikes = st.sampled_from(
    [
        *FIELDS,
        "', 'lis_result_sourcedid': 'x:y-z:u', '",
        '", "lis_result_sourcedid": "x:y-z:u", "',
        "{'lis_result_sourcedid': 'a'}",
        "lis_result_sourcedid'",
        'oauth_consumer_key"',
        "xlis_outcome_service_url",
        "\\'",
        "it's",
        'the "new" one\'s',
    ]
)
_scalars = st.one_of(
    text,
    look_alikes,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=8),
    st.complex_numbers(allow_nan=False, allow_infinity=False),
)
_hashables = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_hashables, inner, max_size=3),
        st.sets(_hashables, max_size=3),
    ),
    max_leaves=8,
)
_field_values = st.one_of(text, look_alikes, _values)
_ordinary = st.fixed_dictionaries(dict.fromkeys(FIELDS, text | look_alikes))
_any_dict = st.dictionaries(st.one_of(st.sampled_from(FIELDS), look_alikes, _hashables), _field_values, max_size=6)

python_dicts: st.SearchStrategy[dict[Any, Any]] = st.one_of(_ordinary, _any_dict, _any_dict)

_json_values = st.recursive(
    st.one_of(
        text,
        look_alikes,
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text | look_alikes, inner, max_size=3)),
    max_leaves=6,
)
json_objects: st.SearchStrategy[dict[str, Any]] = st.one_of(
    _ordinary, st.dictionaries(st.sampled_from(FIELDS) | text | look_alikes, _json_values, max_size=6)
)


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """The text of a JSON object, as it is stored, in one of the layouts programs write."""
    layout: dict[str, Any] = draw(
        st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"indent": "\t"}, {"ensure_ascii": False}])
    )
    before, after = (
        draw(st.sampled_from(["", "", " ", "\n\t\r "])),
        draw(st.sampled_from(["", "", "\n", " "])),
    )
    return clean(before + json.dumps(draw(json_objects), **layout) + after)


@st.composite
def spoiled(draw: st.DrawFn, spellings: st.SearchStrategy[str]) -> str:
    """A spelling with one or two characters removed, inserted or replaced, as it is stored."""
    characters = list(draw(spellings))
    for _ in range(draw(st.integers(1, 2))):
        where = draw(st.integers(0, len(characters)))
        what = draw(st.sampled_from(["", *_MARKS]))
        replaced = draw(st.integers(0, 1))
        characters[where : where + replaced] = what
    return clean("".join(characters))


@st.composite
def instants(draw: st.DrawFn) -> str:
    """A `created_at`: mostly well formed, at or beyond the borders of what is a real date and time."""
    year = draw(
        st.sampled_from([0, 1, 1900, 1970, 1998, 1999, 2000, 2001, 2023, 2024, 2100, 2400, 9999]) | st.integers(0, 9999)
    )
    month, day = draw(st.integers(0, 13)), draw(st.sampled_from([0, 1, 2, 15, 28, 29, 30, 31, 32]))
    hour, minute = (
        draw(st.sampled_from([0, 1, 12, 23, 24, 25, 99])),
        draw(st.sampled_from([0, 30, 59, 60, 99])),
    )
    second = draw(st.sampled_from([0, 30, 59, 60, 61, 99]))
    fraction = draw(st.sampled_from(["", "", ".", ",5"]) | st.from_regex(r"\A\.[0-9]{1,7}\Z"))
    offset = draw(
        st.sampled_from(
            [
                "",
                "",
                "Z",
                "z",
                " UTC",
                "+00:00",
                "-00:00",
                "+0300",
                "+03",
                "+23:59",
                "-23:59",
                "+24:00",
                "-05:60",
                "+3:00",
            ]
        )
    )
    separator = draw(st.sampled_from("  T_t"))
    return f"{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{fraction}{offset}"

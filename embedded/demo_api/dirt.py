"""The demo vendor's unusual records: spoiled ones of every kind, and valid ones that are hard to read.

Each kind turns the JSON text of an ordinary record into another JSON text. `reasons` names the reasons for
which the warehouse must reject the result, in its order of reasons; none means that the record stays valid.
"""

import json
from ast import literal_eval
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

Record = dict[str, Any]
Change = Callable[[Record], str]


class Kind(NamedTuple):
    """A kind of unusual record: its name, the reasons to reject it, and what makes it of an ordinary one."""

    name: str
    reasons: tuple[str, ...]
    change: Change


def drawn(kinds: Sequence[Kind], u: float, text: str) -> str:
    """The JSON text of an unusual record made from an ordinary one's; u in [0, 1) draws its kind."""
    return kinds[int(u * len(kinds))].change(json.loads(text))


def _with(**fields: object) -> Change:
    return lambda record: json.dumps(record | fields)


def _without(name: str) -> Change:
    return lambda record: json.dumps({key: value for key, value in record.items() if key != name})


def _edited(**edits: Callable[[str], object]) -> Change:
    """Fields replaced by what a function makes of their text."""
    return lambda record: json.dumps(record | {name: edit(record[name]) for name, edit in edits.items()})


def _inside(edit: Callable[[Record], object]) -> Change:
    """passback_params replaced by the repr of what a function makes of the dict in it."""
    return _edited(passback_params=lambda text: repr(edit(literal_eval(text))))


def _param(name: str, value: object) -> Change:
    return _inside(lambda params: params | {name: value})


def _encoded(params: Record) -> Record:
    course, host_block, learner = params["lis_result_sourcedid"].rsplit(":", 2)
    return params | {"lis_result_sourcedid": f"{quote(course, safe='')}:{host_block}:{learner}"}


def _kinds(reason: str, *changes: Change) -> list[Kind]:
    return [Kind(f"{reason}_{number}", (reason,), change) for number, change in enumerate(changes, 1)]


_SOURCEDID = "lis_result_sourcedid"
_URL = "lis_outcome_service_url"
_CONSUMER = "oauth_consumer_key"

SPOILED: tuple[Kind, ...] = (
    *_kinds(
        "not_an_object",
        lambda record: "null",
        lambda record: json.dumps(f"attempt of {record['created_at']} is not available"),
        lambda record: json.dumps(list(record.values())),
        lambda record: json.dumps(record)[:-1] + ', "score": 1e999999}',
    ),
    *_kinds(
        "user_id_invalid",
        _without("lti_user_id"),
        _with(lti_user_id=None),
        _with(lti_user_id="   "),
        _edited(lti_user_id=lambda learner: int(learner[:12], 16)),
        _edited(lti_user_id=lambda learner: learner * 9),
    ),
    *_kinds(
        "passback_params_invalid",
        _without("passback_params"),
        _with(passback_params=None),
        _with(passback_params=""),
        _edited(passback_params=lambda text: text[: len(text) * 2 // 3]),
        _edited(passback_params=lambda text: text.replace("''", "'it's'", 1)),
        _inside(lambda params: list(params.values())),
        _edited(passback_params=lambda text: len(text)),
    ),
    *_kinds(
        "lis_result_sourcedid_invalid",
        _inside(lambda params: {name: value for name, value in params.items() if name != _SOURCEDID}),
        _param(_SOURCEDID, None),
        _param(_SOURCEDID, " "),
        _param(_SOURCEDID, 404),
        _inside(lambda params: params | {_SOURCEDID: params[_SOURCEDID] * 10}),
    ),
    *_kinds(
        "lis_outcome_service_url_invalid",
        _inside(lambda params: params | {_URL: params[_URL].removeprefix("https://")}),
        _inside(lambda params: params | {_URL: params[_URL].replace("https", "ftp")}),
        _param(_URL, ["https://lms.demo-academy.example"]),
        _inside(lambda params: params | {_URL: params[_URL] + "?next=" + "x" * 2000}),
    ),
    *_kinds("oauth_consumer_key_invalid", _param(_CONSUMER, 17), _param(_CONSUMER, "k" * 256)),
    *_kinds(
        "attempt_type_invalid",
        _without("attempt_type"),
        _with(attempt_type=None),
        _with(attempt_type="check"),
        _edited(attempt_type=str.upper),
        _edited(attempt_type=lambda kind: f"{kind} "),
    ),
    *_kinds(
        "is_correct_invalid",
        _with(attempt_type="submit", is_correct=2),
        _with(attempt_type="submit", is_correct="1"),
        _with(attempt_type="submit", is_correct=0.5),
        _with(attempt_type="submit", is_correct=[1]),
    ),
    *_kinds(
        "is_correct_on_run",
        _with(attempt_type="run", is_correct=1),
        _with(attempt_type="run", is_correct=0),
        _with(attempt_type="run", is_correct=False),
    ),
    *_kinds(
        "created_at_invalid",
        _without("created_at"),
        _with(created_at=None),
        _with(created_at="1970-01-01 00:00:00.000000"),
        _edited(created_at=lambda text: f"{text[8:10]}.{text[5:7]}.{text[:4]} {text[11:16]}"),
        _edited(created_at=lambda text: f"{text[:5]}02-30{text[10:]}"),
        _edited(created_at=lambda text: f"{text[:11]}24:60:00"),
        _edited(created_at=lambda text: text[:10]),
        _edited(created_at=lambda text: f"{text[:19]}.1234567"),
        _edited(created_at=lambda text: f"{text}\n"),
        _edited(created_at=lambda text: text.replace("0", "\u0660")),
        _with(created_at=1685524571.313646),
    ),
    *_kinds(
        "created_at_in_future",
        # The calendar repeats every 400 years, so the date exists, 29 February included.
        _edited(created_at=lambda text: f"{int(text[:4]) + 400}{text[4:]}"),
        _with(created_at="9999-12-31 23:59:59.999999"),
    ),
    Kind(
        "several_at_once",
        (
            "user_id_invalid",
            "lis_result_sourcedid_invalid",
            "oauth_consumer_key_invalid",
            "is_correct_on_run",
        ),
        _with(
            lti_user_id="",
            passback_params="{'oauth_consumer_key': {}, 'lis_result_sourcedid': ''}",
            attempt_type="run",
            is_correct=1,
        ),
    ),
    Kind(
        "empty_object",
        ("user_id_invalid", "passback_params_invalid", "attempt_type_invalid", "created_at_invalid"),
        lambda record: "{}",
    ),
    Kind("nul_in_user_id", (), _edited(lti_user_id=lambda learner: f"{learner}\0")),
    Kind("surrogate_in_user_id", (), _edited(lti_user_id=lambda learner: f"\ud800{learner}")),
    Kind("nul_in_params", (), _edited(passback_params=lambda text: text.replace("''", "'\0'", 1))),
    Kind("surrogate_in_extra_field", (), _with(comment="\udcff lost half")),
    Kind("nul_in_field_name", (), lambda record: json.dumps({"no\0te": 1} | record)),
)
"""Spoiled records; the last five are valid after NUL and lone surrogates have been replaced."""

ODD: tuple[Kind, ...] = tuple(
    Kind(name, (), change)
    for name, change in {
        "encoded_course_key": _inside(_encoded),
        "none_consumer": _param(_CONSUMER, None),
        "none_url": _param(_URL, None),
        "blank_url": _param(_URL, " "),
        "apostrophe": _param(_CONSUMER, "teacher's key"),
        "double_quote": _param(_CONSUMER, 'the "new" key'),
        "both_quotes": _param(_CONSUMER, 'the teacher\'s "new" key'),
        "backslash": _param(_CONSUMER, "C:\\keys\\new\t1"),
        "escaped_nul": _param(_CONSUMER, "key\0"),
        "not_ascii": _param(_CONSUMER, "ключ № 1 🙂"),
        "looks_like_another_key": _inside(lambda params: {"note": "', 'lis_result_sourcedid': 'x:y-z:u', '"} | params),
        "more_keys": _inside(
            lambda params: params | {"roles": ["Student", None], "custom": {"try": 2, "a{b}": (1.5, True)}}
        ),
        "other_order": _inside(lambda params: dict(reversed(params.items()))),
        "only_sourcedid": _inside(lambda params: {_SOURCEDID: params[_SOURCEDID]}),
        "unsplittable_sourcedid": _inside(lambda params: params | {_SOURCEDID: f"sandbox-{params[_SOURCEDID][-6:]}"}),
        "json_text": _edited(passback_params=lambda text: json.dumps(literal_eval(text))),
        "json_object": _edited(passback_params=literal_eval),
        "boolean_verdict": _edited(is_correct=lambda verdict: verdict if verdict is None else bool(verdict)),
        "float_verdict": _edited(is_correct=lambda verdict: verdict if verdict is None else float(verdict)),
        "iso_created_at": _edited(created_at=lambda text: f"{text[:10]}T{text[11:]}Z"),
        "offset_in_created_at": _edited(created_at=lambda text: f"{text}+00:00"),
        "further_fields": _with(attempt_no=7, client={"agent": "demo", "tags": ["a", "b"]}),
        "huge_field": _with(source="print('hello')\n" * 1500),
        "nulls_in_further_fields": _with(score=None),
    }.items()
)
"""Valid records that are hard to read or carry more or less than usual."""

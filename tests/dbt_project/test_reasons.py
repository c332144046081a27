"""Which records are valid, and every reason why one is not: alone, together, at the borders."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg2
import pytest

from embedded.demo_api.dirt import ODD, SPOILED
from ingestion.records import as_bytes, as_json_string, split
from tests.dbt_project.compare import assert_as_contracted, assert_staged
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.oracle_rules import CONSUMER, SOURCEDID, URL
from tests.dbt_project.warehouse import Models

NOW = datetime(2024, 5, 20, 12, tzinfo=timezone.utc)
TASK = "course-v1:A+B+C:lms.example.com-b1:learner"
PARAMS: dict[str, Any] = {CONSUMER: "", SOURCEDID: TASK, URL: "https://lms.example.com/grade"}
RECORD: dict[str, Any] = {
    "lti_user_id": "anna",
    "passback_params": repr(PARAMS),
    "is_correct": 1,
    "attempt_type": "submit",
    "created_at": "2024-05-20 11:00:00.000000",
}
Change = Callable[[dict[str, Any]], Any]


def _set(**fields: Any) -> Change:
    return lambda record: record | fields


def _param(name: str, value: Any) -> Change:
    return lambda record: record | {"passback_params": repr(PARAMS | {name: value})}


def _without(name: str) -> Change:
    return lambda record: {key: value for key, value in record.items() if key != name}


def _params_without(name: str) -> Change:
    return _set(passback_params=repr({key: value for key, value in PARAMS.items() if key != name}))


def _each(name: str, *values: Any) -> list[Change]:
    return [_set(**{name: value}) for value in values]


def _each_param(name: str, *values: Any) -> list[Change]:
    return [_param(name, value) for value in values]


def _is(value: Any) -> Change:
    return lambda _: value


def _ahead(**length: float) -> Change:
    return _set(created_at=(NOW + timedelta(**length)).strftime("%Y-%m-%d %H:%M:%S.%f"))


CASES: dict[str, list[Change]] = {
    "": [
        _set(),
        *_each("lti_user_id", "x" * 255, "🙂" * 255, " x", "\0", "\ud800", "0"),
        *_each("is_correct", 0, 1, 0.0, 1.0, True, False, None),
        _without("is_correct"),
        _set(attempt_type="run", is_correct=None),
        *_each_param(SOURCEDID, "x" * 1000, "🙂" * 1000, "x", " x ", "\0", "a:b-c:d"),
        *_each_param(URL, None, "", " \t", "\u3000", "http://", "https://", " " * 2001),
        *(_param(URL, "https://" + fill * 1992) for fill in ("x", "🙂")),
        *_each_param(CONSUMER, None, "", " ", "\n", "k" * 255, "🙂" * 255, " k ", "\0"),
        _params_without(URL),
        _params_without(CONSUMER),
        _set(passback_params=PARAMS),
        _set(passback_params=json.dumps(PARAMS)),
        _set(passback_params=PARAMS | {CONSUMER: None, "more": [1, {}]}),
        *(_set(created_at=f"2024-05-20{rest}") for rest in (" 11:00:00", "T11:00:00Z", " 11:00:00.5+03:00")),
        _set(created_at="2000-01-01 00:00:00"),
        _ahead(days=1),
        _set(score=None, comment="\0", **{"no\0te": "\ud800"}),
    ],
    "not_an_object": [_is(value) for value in (None, 1, 0.5, True, "", "{}", [], [RECORD], "\0")],
    "user_id_invalid": [
        _without("lti_user_id"),
        *_each("lti_user_id", None, 5, True, [], {}, ["anna"], "", " ", "\t\n", "\u2003"),
        *(_set(lti_user_id=fill * 256) for fill in ("x", "🙂", "\ud800")),
    ],
    "passback_params_invalid": [
        _without("passback_params"),
        *_each("passback_params", None, 5, True, [], [PARAMS], "", " ", "[]", "None", "null"),
        *_each("passback_params", "{", repr(PARAMS)[:-1], repr(PARAMS) + "}", repr([PARAMS])),
        _set(passback_params=f"{{'{SOURCEDID}': 'it's'}}"),
        _set(passback_params=f"dict({SOURCEDID}='a')"),
        _set(passback_params=json.dumps(repr(PARAMS))),
    ],
    "lis_result_sourcedid_invalid": [
        _params_without(SOURCEDID),
        *_each_param(SOURCEDID, None, 5, True, b"a", [], {}, "", " ", "\u2028", "x" * 1001, "🙂" * 1001),
        *_each("passback_params", {}, "{}", {SOURCEDID: 5}, {SOURCEDID: None}, json.dumps({SOURCEDID: " "})),
    ],
    "lis_outcome_service_url_invalid": [
        *_each_param(URL, 5, False, [], {}, b"https://x", "x", "HTTPS://x", "http:/x", " https://x", "ftp://x"),
        *(_param(URL, "https://" + fill * 1993) for fill in ("x", "🙂")),
        _set(passback_params=PARAMS | {URL: [PARAMS[URL]]}),
    ],
    "oauth_consumer_key_invalid": [
        *_each_param(CONSUMER, 5, False, 0, [], {}, (), b"", "k" * 256, "🙂" * 256),
        _set(passback_params=PARAMS | {CONSUMER: {}}),
    ],
    "attempt_type_invalid": [
        _without("attempt_type"),
        *_each("attempt_type", None, 5, [], ["run"], "", "Run", " run", "submit\n", "runs"),
    ],
    "is_correct_invalid": [
        *_each("is_correct", 2, -1, 0.5, 1.5, 10**300, "", "0", "1", "true", "null", [], [1], {}),
    ],
    "is_correct_on_run": [_set(attempt_type="run", is_correct=value) for value in (0, 1, 0.0, True, False)],
    "created_at_invalid": [
        _without("created_at"),
        *_each("created_at", None, 5, 1716202800.5, [], {}, "", "now", "2024-05-20", "2024-02-30 11:00:00"),
        *_each("created_at", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00+00:01", "0001-01-01 00:00:00"),
    ],
    "created_at_in_future": [
        _ahead(days=1, microseconds=1),
        *_each("created_at", "2024-05-21 12:00:00-00:01", "9999-12-31 23:59:59.999999-23:59"),
    ],
}
# One change for each reason that can stand beside any other; those of the params exclude each other
# where they must.
_TOGETHER: list[tuple[tuple[str, ...], Change]] = [
    (("user_id_invalid",), _set(lti_user_id="")),
    (("attempt_type_invalid",), _set(attempt_type="Run")),
    (("is_correct_invalid",), _set(is_correct=2)),
    (("created_at_invalid",), _set(created_at="")),
    (("created_at_in_future",), _ahead(days=2)),
]
_PARAMS_TOGETHER = [
    (("passback_params_invalid",), "{"),
    *(
        (tuple(f"{name}_invalid" for name in names), repr(PARAMS | dict.fromkeys(names, 5)))
        for count in range(4)
        for names in itertools.combinations((SOURCEDID, URL, CONSUMER), count)
    ),
]
_ORDER = list(CASES)


def test_every_reason_alone(models: Models) -> None:
    changed = [(change(RECORD), reason) for reason, changes in CASES.items() for change in changes]
    oracle = _staged(models, [record for record, _ in changed])
    for (record, reason), (_, judged) in zip(changed, oracle.staged, strict=True):
        assert judged.reasons == ((reason,) if reason else ()), record


def test_every_combination_of_reasons_in_order(models: Models) -> None:
    records, expected = [], []
    for count in range(len(_TOGETHER) + 1):
        for chosen in itertools.combinations(_TOGETHER, count):
            for more, params in _PARAMS_TOGETHER:
                record = RECORD | {"passback_params": params}
                reasons = list(more)
                for names, change in chosen:
                    record = change(record)
                    reasons += names
                # The later of two instants stands.
                if "created_at_in_future" in reasons and "created_at_invalid" in reasons:
                    reasons.remove("created_at_invalid")
                records.append(record)
                expected.append(tuple(sorted(reasons, key=_ORDER.index)))
                if "is_correct_invalid" in reasons and "attempt_type_invalid" not in reasons:
                    records.append(record | {"attempt_type": "run"})
                    expected.append(tuple(sorted([*reasons, "is_correct_on_run"], key=_ORDER.index)))
    oracle = _staged(models, records)
    assert [judged.reasons for _, judged in oracle.staged] == expected


@pytest.mark.parametrize("kinds", [SPOILED, ODD], ids=["spoiled", "odd"])
def test_every_unusual_kind_of_the_demo(models: Models, kinds: Any) -> None:
    learner = "3583bf109f8b458e13ae1ac9d85c396a"
    params = PARAMS | {SOURCEDID: f"course-v1:A+B+C:lms.example.com-{'b' * 60}:{learner}"}
    ordinary = RECORD | {"lti_user_id": learner, "passback_params": repr(params)}
    body = "[" + ",".join(kind.change(ordinary) for kind in kinds) + "]"
    texts = [_storable(models, as_bytes(text)) for text in split(body.encode()).texts]
    models.load_texts([(NOW, texts)])
    models.build()
    rows = models.rows("select is_valid, rejection_reasons from staging.stg_grader__attempts order by record_no")
    for kind, row in zip(kinds, rows, strict=True):
        assert tuple(row["rejection_reasons"]) == kind.reasons, kind.name
        assert row["is_valid"] == (not kind.reasons)


def test_a_day_ahead_is_24_hours_wherever_the_server_is(models: Models) -> None:
    # On 3 November 2024 New York's day has 25 hours.
    fetched_at = datetime(2024, 11, 3, 4, 30, tzinfo=timezone.utc)
    models.execute(f"alter database {models.warehouse.dbname} set timezone to 'America/New_York'")
    try:
        answers = [
            Answer(fetched_at, [RECORD | {"created_at": created_at}])
            for created_at in ("2024-11-04 04:30:00", "2024-11-04 04:30:00.000001", "2024-11-04 05:00:00")
        ]
        oracle = Oracle()
        oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)
        assert [judged.reasons for _, judged in oracle.staged] == [(), *[("created_at_in_future",)] * 2]
    finally:
        models.execute(f"alter database {models.warehouse.dbname} reset timezone")


def test_what_was_in_the_future_is_accepted_once_it_is_not(models: Models) -> None:
    record = RECORD | {"created_at": "2024-05-22 00:00:00"}
    oracle = Oracle()
    for fetched_at in (NOW, NOW + timedelta(hours=1), NOW + timedelta(days=2)):
        answers = [Answer(fetched_at, [record])]
        oracle.load(models.load(answers), answers)
        models.build()
        assert_as_contracted(models, oracle)
    counts = [(r["accepted"], r["repeated"], r["rejected"]) for r in oracle.receipts.values()]
    assert counts == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]


def _staged(models: Models, records: list[Any]) -> Oracle:
    """Build a load of these records and compare staging and marts with the oracle, which is
    returned.
    """
    answers = [Answer(NOW, records)]
    oracle = Oracle()
    oracle.load(models.load(answers), answers)
    models.build()
    assert_staged(models, oracle)
    assert_as_contracted(models, oracle)
    return oracle


def _storable(models: Models, text: bytes) -> str:
    """A record's text, or a JSON string of it when PostgreSQL refuses it."""
    try:
        models.execute("select %s::jsonb", (text.decode(),))
    except psycopg2.DataError:
        return as_json_string(text).decode()
    return text.decode()

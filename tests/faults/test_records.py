"""Any JSON in any field, through the real command: the good are never stopped, the bad are kept with every reason."""

from __future__ import annotations

import json
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dbt_project.oracle_rules import judge, micros, stored
from tests.faults.conftest import Scene
from tests.faults.machine import LONG, until
from tests.faults.report import Tally
from tests.faults.school import START, WINDOW, assert_sums_add_up, ordinary, query
from tests.ingestion.fake_api import instant

COUNT = 20_000 if LONG else 1_500
FIELDS = ("lti_user_id", "passback_params", "is_correct", "attempt_type", "created_at", "further")
PIECES = (
    "",
    " ",
    "\u3000",
    "\0",
    "\ud800",
    "\udfff",
    "'",
    '"',
    "\\",
    "{",
    "}",
    "é",
    "🙂",
    "\r\n",
    "\x7f",
    "=1+1",
    "%s",
    "</td>",
    "'; --",
)
HONEST = (
    "run",
    "submit",
    "2023-02-29 00:00:00",
    "2024-02-29T12:00:00Z",
    "2023-04-01 10:00:00+03:00",
    "{}",
    "[]",
    "null",
    "1",
)
MEGABYTE = 1 << 20
MEMORY_MOST = 900 * MEGABYTE
# JSON that PostgreSQL's jsonb has no place for.
IMPOSSIBLE = ("1e999999", "-1e-999999", "[" * 20_000 + "]" * 20_000, '{"a":' * 9_000 + "1" + "}" * 9_000)


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """A JSON value of any kind."""
    kind = rng.randrange(9 if depth < 4 else 7)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, 1, -1, 2, 10**20, -(10**40), rng.randrange(10**9)])
    if kind == 2:
        return rng.choice([0.0, 1.0, 0.5, -0.0, 1e15, 1.25e-7])
    if kind == 3:
        return rng.choice(HONEST)
    if kind < 7:
        return "".join(rng.choice(PIECES) * rng.choice([1, 1, 3, 200]) for _ in range(rng.randrange(6)))
    if kind == 7:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {f"{rng.choice(PIECES)}{number}": any_value(rng, depth + 1) for number in range(rng.randrange(4))}


def fuzzed(rng: random.Random, number: int) -> Any:
    """The record of that number (`tag`), with any JSON in some of its fields."""
    record = ordinary(rng, instant(START) + timedelta(seconds=17 * number)) | {"tag": number}
    chance = rng.random()
    if chance < 0.3:
        return record
    for field in rng.sample(FIELDS, rng.choice([1, 1, 2, 6])):
        if rng.random() < 0.15:
            record.pop(field, None)
        else:
            record[field] = any_value(rng)
    if chance < 0.45:
        params: dict[str, Any] = {"lis_result_sourcedid": "c:h-b:u", "n": any_value(rng)}
        params[rng.choice(["oauth_consumer_key", "lis_result_sourcedid", "lis_outcome_service_url"])] = any_value(rng)
        record["passback_params"] = rng.choice([repr(params), json.dumps(params), params])
    return record


@pytest.mark.timeout(1800)
def test_anything_in_any_field(scene: Scene, tally: Tally) -> None:
    rng = random.Random(11)
    scene.put_back("empty")
    texts = {number: as_text(fuzzed(rng, number), rng) for number in range(COUNT)}
    values = {number: json.loads(text) for number, text in texts.items()}
    step = (timedelta(days=5) - timedelta(hours=1)) / COUNT
    scene.grader.records = [(instant(START) + step * number, text) for number, text in texts.items()]
    done = scene.prepared.run("run", *WINDOW)
    assert done.code == 0, done.output
    assert_sums_add_up(scene.warehouse)
    now = micros(instant("2026-01-01T00:00:00"))
    judged = {number: judge(value, now) for number, value in values.items()}
    found = query(scene.warehouse, "select record, rejection_reasons from marts.rejected_attempts")
    reported = {record["tag"]: tuple(reasons) for record, reasons in found}
    assert reported == {number: verdict.reasons for number, verdict in judged.items() if verdict.reasons}
    for record, _ in found:
        assert record == stored(values[record["tag"]])
    good = {(v.user_id, v.lis_result_sourcedid, v.attempt_type, v.created_at) for v in judged.values() if not v.reasons}
    stored_attempts = query(
        scene.warehouse,
        """
        select user_id, lis_result_sourcedid, attempt_type, (extract(epoch from created_at) * 1000000)::bigint
        from marts.attempts
        """,
    )
    lost, doubled = good - set(stored_attempts), len(stored_attempts) - len(set(stored_attempts))
    tally.count("fuzzed record", COUNT, lost=len(lost), doubled=doubled, good=len(good), rejected=len(reported))
    assert lost == set()
    assert set(stored_attempts) == good
    assert doubled == 0


def as_text(value: Any, rng: random.Random) -> str:
    """The JSON text of a value, in ASCII or not; lone surrogates have no other way to travel than escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if rng.random() < 0.5 or re.search("[\ud800-\udfff]", text) else text


def test_what_no_database_can_hold(scene: Scene, tally: Tally) -> None:
    rng = random.Random(12)
    scene.put_back("empty")
    scene.grader.records = []
    expected = {}
    for number in range(60):
        moment = instant(START) + timedelta(hours=number)
        record = ordinary(rng, moment) | {"tag": number}
        text = json.dumps(record)
        if number % 3 == 0:
            text = json.dumps(record | {"further": "x" * MEGABYTE})
        elif number % 3 == 1:
            expected[number] = True
            text = f'{text[:-1]}, "created_at": {IMPOSSIBLE[number % len(IMPOSSIBLE)]}}}'
        scene.grader.records.append((moment, text))
    command = scene.prepared.start("run", *WINDOW)
    peak = [0]

    def over() -> bool:
        peak[0] = max(peak[0], peak_memory(command.pid))
        return command.ended.is_set()

    until(over, interval=0.05)
    assert command.code == 0, command.output
    assert query(scene.warehouse, "select count(*)::int from marts.attempts") == [(60 - len(expected),)]
    texts = [str(text) for (text,) in query(scene.warehouse, "select record::text from marts.rejected_attempts")]
    assert {int(re.findall(r'tag\\?": ?(\d+)', text)[0]) for text in texts} == set(expected)
    lengths = query(
        scene.warehouse, "select length(record ->> 'further')::int from raw.attempts where record ? 'further'"
    )
    assert lengths == [(MEGABYTE,)] * 20
    assert_sums_add_up(scene.warehouse)
    tally.count("megabyte string or what jsonb can't hold", 40, peak_memory_in_MiB=peak[0] // MEGABYTE)
    assert 0 < peak[0] < MEMORY_MOST


def peak_memory(pid: int) -> int:
    """The most memory the process has had so far, in bytes; 0 when it is over."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0

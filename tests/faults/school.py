"""A small grader with everything in it: dirt, odd spellings, repetitions, later corrections; and its marts."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from embedded.demo_api.dirt import ODD, SPOILED
from ingestion.warehouse import Warehouse
from tests.ingestion.fake_api import instant

START, END = "2023-04-01", "2023-04-06"
WINDOW = ("--start", START, "--end", END)
Records = list[tuple[datetime, str]]
# Without what differs between two good runs: the numbers that raw records got, and when a record was first seen.
MARTS = {
    "attempts": """
        attempt_id, user_id, oauth_consumer_key, lis_result_sourcedid, lis_outcome_service_url, is_correct,
        attempt_type, created_at, activity_date, course_key, block_id, task_id,
        row_number() over (order by first_record_no)
    """,
    "rejected_attempts": "rejected_record_id, record, rejection_reasons, first_seen_at is not null",
    "learner_tasks": """
        user_id, task_id, course_key, block_id, unsplit_sourcedid, attempts, runs, submits, first_attempt_at,
        last_attempt_at, first_correct_at, first_correct_date, attempts_to_first_correct
    """,
    "daily_metrics": """
        activity_date, attempts, runs, submits, correct_submits, success_rate, unique_users, attempts_per_user,
        users_without_correct, avg_attempts_to_first_correct, new_users, unique_users_7d, unique_users_30d,
        graded_submits
    """,
}


def ordinary(rng: random.Random, moment: datetime) -> dict[str, Any]:
    """A record as the grader writes nearly all of them."""
    learner = f"{rng.randrange(40):032x}"
    kind = rng.choice(["run", "submit", "submit"])
    block = f"{rng.randrange(12):032x}"
    params = {
        "oauth_consumer_key": "",
        "lis_result_sourcedid": f"course-v1:SkillFactory+DST-3.0+28FEB2021:lms.example.com-{block}:{learner}",
        "lis_outcome_service_url": f"https://lms.example.com/courses/handler/{block}/grade_handler",
    }
    return {
        "lti_user_id": learner,
        "passback_params": repr(params),
        "is_correct": None if kind == "run" else rng.choice([0, 0, 1]),
        "attempt_type": kind,
        "created_at": moment.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def records(seed: int, count: int = 1_500) -> Records:
    """The grader's records from START to END, in order of time, some at the borders of days."""
    rng = random.Random(seed)
    start, length = instant(START), instant(END) - instant(START)
    moments = sorted(start + rng.random() * length for _ in range(count))
    moments += [start + timedelta(days=day, microseconds=tick) for day in range(5) for tick in (0, 1)]
    made: Records = []
    for moment in moments:
        record = ordinary(rng, moment)
        chance = rng.random()
        if chance < 0.06:
            made.append((moment, rng.choice(SPOILED).change(record)))
        elif chance < 0.12:
            made.append((moment, rng.choice(ODD).change(record)))
        else:
            made.append((moment, json.dumps(record)))
        if chance > 0.95:
            made.append(rng.choice(made[-1:]))
        elif chance > 0.9 and record["attempt_type"] == "submit":
            made.append((moment, json.dumps(record | {"is_correct": 1})))
    return made


def later(before: Records, seed: int) -> Records:
    """The same grader later: some records corrected, some late ones added, in among the others."""
    rng = random.Random(seed)
    made: Records = []
    for moment, text in before:
        if "1e999" in text:
            continue
        record = json.loads(text) if rng.random() < 0.1 else None
        if isinstance(record, dict) and record.get("attempt_type") == "submit":
            text = json.dumps(record | {"is_correct": rng.choice([0, 1, None])})
        made.append((moment, text))
        if rng.random() < 0.05:
            made.append((moment, json.dumps(ordinary(rng, moment))))
    return made


def query(warehouse: Warehouse, text: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with closing(warehouse.connect(options="-c timezone=UTC")) as connection, connection.cursor() as cursor:
        cursor.execute(text, values or None)
        return cursor.fetchall()


def marts(warehouse: Warehouse) -> dict[str, list[str]]:
    """All that the marts hold, as lines that can be compared."""
    lines = "select t::text from (select {} from marts.{}) as t order by 1"
    return {mart: [row for (row,) in query(warehouse, lines.format(columns, mart))] for mart, columns in MARTS.items()}


def difference(expected: dict[str, list[str]], found: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """The lines that are lost, and those that are there without reason or twice."""
    lost, added = [], []
    for mart in expected:
        rest = list(found[mart])
        for line in expected[mart]:
            if line in rest:
                rest.remove(line)
            else:
                lost.append(f"{mart}: {line}")
        added += [f"{mart}: {line}" for line in rest]
    return lost, added


def assert_sums_add_up(warehouse: Warehouse) -> None:
    """Every raw record belongs to a completed load, and every one of them is counted once."""
    unfinished = "select count(*) from raw.attempts where _dlt_load_id not in (select load_id from raw._dlt_loads)"
    wrong = "select count(*) from marts.load_receipts where fetched <> accepted + repeated + rejected"
    assert query(warehouse, unfinished) == [(0,)]
    assert query(warehouse, wrong) == [(0,)]
    answered = "select _dlt_load_id, sum(records) from raw.fetches group by 1 having sum(records) > 0"
    stored = "select _dlt_load_id, count(*) from raw.attempts group by 1"
    receipts = "select _dlt_load_id, fetched from marts.load_receipts where fetched > 0"
    first, *others = (
        {load: int(number) for load, number in query(warehouse, text)} for text in (answered, stored, receipts)
    )
    assert others == [first, first]
    sums = query(warehouse, "select sum(accepted)::int, sum(rejected)::int from marts.load_receipts")
    counts = "select (select count(*)::int from marts.attempts), (select count(*)::int from marts.rejected_attempts)"
    assert sums == query(warehouse, counts)

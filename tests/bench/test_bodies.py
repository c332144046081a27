"""The bodies of the benchmarks: what histories of different lengths must have in common to be compared."""

import ast
import json
from datetime import date, datetime, timedelta, timezone

from tests.bench import bodies

TODAY = date(2026, 3, 15)
PER_DAY = 2_000


def records_of(body: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(body)
    return found


def moment(record: dict[str, object]) -> datetime:
    return datetime.strptime(str(record["created_at"]), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)


def test_a_day_holds_as_many_records_as_asked_for_within_the_report_zones_day() -> None:
    records = records_of(bodies.body(TODAY, -3, PER_DAY))

    assert len(records) == PER_DAY
    start = bodies.midnight(TODAY, -3)
    assert start == datetime(2026, 3, 11, 21, tzinfo=timezone.utc)
    written_as_ever = [record for record in records if len(str(record["created_at"])) == 26]
    regular = [record for record in written_as_ever if "-02-30" not in str(record["created_at"])]
    outside = [record for record in regular if not start <= moment(record) < start + timedelta(days=1)]
    assert len(outside) == 5
    assert outside == regular[:5]


def test_a_day_is_the_same_whenever_it_is_made_but_for_its_date() -> None:
    then, now = (records_of(bodies.body(today, -3, PER_DAY)) for today in (TODAY, TODAY + timedelta(days=100)))

    for record in (*then, *now):
        del record["created_at"]
    assert then == now


def test_late_records_are_further_attempts_of_as_many_different_days() -> None:
    ordinary, late = (records_of(bodies.body(TODAY, -3, PER_DAY, *late)) for late in ((), (100, 500)))

    assert late[:PER_DAY] == ordinary
    days = {(moment(record) + timedelta(hours=3)).date() for record in late[PER_DAY:]}
    assert len(late) == PER_DAY + 100
    assert len(days) == 100
    assert max(days) < TODAY - timedelta(days=3)
    assert min(days) >= TODAY - timedelta(days=503)


def test_clean_bodies_are_read_by_the_plainest_means() -> None:
    records = records_of(bodies.body(TODAY, -3, PER_DAY, clean=True))

    assert len(records) == PER_DAY
    start = bodies.midnight(TODAY, -3)
    assert all(start <= moment(record) < start + timedelta(days=1) for record in records)
    params = [ast.literal_eval(str(record["passback_params"])) for record in records]
    ids = {(read["lis_result_sourcedid"], record["created_at"]) for read, record in zip(params, records, strict=True)}
    assert len(ids) == PER_DAY

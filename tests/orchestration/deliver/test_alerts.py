"""When an incident or a warning is told: it opens, goes on for a week, is over; and what is kept of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.warehouse import Warehouse
from orchestration.deliver.alerts import Alert, Told, compare
from orchestration.deliver.figures import Day
from orchestration.deliver.record import Past, keep_alerts, keep_deliveries, read_past
from orchestration.summary import Delivery, RunSummary
from tests.orchestration.deliver.conftest import LAST_DAY, make_day

MONDAY = date(2026, 11, 2)


def keys(alerts: tuple[Alert, ...]) -> list[str]:
    return [alert.key for alert in alerts]


def nights(found: list[set[str]]) -> Iterator[Told]:
    """What each of some nights tells, every mail sent and noted."""
    known: dict[tuple[str, date], Alert] = {}
    for number, there in enumerate(found):
        day = MONDAY + timedelta(days=number)
        before = [alert for alert in known.values() if alert.closed_on is None]
        told = compare({"incident": {key: key for key in there}, "warning": {}}, before, day)
        known |= {(alert.key, alert.opened_on): alert for alert in told.to_keep}
        yield told


def test_an_incident_is_told_when_it_opens_weekly_and_when_it_is_over() -> None:
    told = list(nights([{"a"}] * 16 + [set()]))
    assert [number for number, night in enumerate(told) if keys(night.opened)] == [0]
    assert [number for number, night in enumerate(told) if keys(night.going_on)] == [7, 14]
    assert [number for number, night in enumerate(told) if keys(night.closed)] == [16]
    assert [number for number, night in enumerate(told) if keys(night.left_out)] == [*range(1, 7), *range(8, 14), 15]


def test_one_that_comes_back_is_told_again() -> None:
    told = list(nights([{"a"}, set(), {"a"}]))
    assert [keys(night.opened) for night in told] == [["a"], [], ["a"]]


def test_a_second_mail_about_a_day_tells_the_same() -> None:
    there = {"incident": {"a": "a", "b": "b"}, "warning": {}}
    old = Alert("incident", "c", "c", MONDAY - timedelta(days=3), MONDAY - timedelta(days=3))
    first = compare(there, [old], MONDAY)  # type: ignore[arg-type]
    again = compare(there, first.to_keep, MONDAY)  # type: ignore[arg-type]
    assert (again.opened, again.going_on, again.closed) == (first.opened, first.going_on, first.closed)
    corrected = compare({"incident": {"a": "a"}, "warning": {}}, first.to_keep, MONDAY)
    assert keys(corrected.opened) == ["a"]
    assert set(keys(corrected.closed)) == {"b", "c"}


def test_a_run_without_tests_says_nothing_of_warnings() -> None:
    known = Alert("warning", "few_are_rejected", "1 row", MONDAY, MONDAY)
    told = compare({"incident": {}, "warning": None}, [known], MONDAY + timedelta(days=9))
    assert told == Told(left_out=(known,))


@given(st.lists(st.sets(st.sampled_from("abc")), max_size=40))
def test_whatever_happens_nothing_is_told_twice_in_a_week_or_never(found: list[set[str]]) -> None:
    told = list(nights(found))
    for key in "abc":
        news = [
            number
            for number, night in enumerate(told)
            if key in keys(night.opened) + keys(night.going_on) + keys(night.closed)
        ]
        changes = [
            number for number, there in enumerate(found) if (key in there) != (number > 0 and key in found[number - 1])
        ]
        assert set(changes) <= set(news)
        for earlier, later in pairwise(news):
            assert later in changes or later - earlier == 7
        for number, there in enumerate(found):
            if key in there:
                assert any(number - 7 < at <= number for at in news)


def test_what_was_told_is_kept_in_the_warehouse(warehouse: Warehouse, summary: RunSummary) -> None:
    assert read_past(warehouse, LAST_DAY) == Past()
    day = make_day(LAST_DAY)
    sent = [Delivery("Spreadsheet", True, "out/metrics.xlsx", "written"), Delivery("Mail", True, "boss", "sent")]
    keep_deliveries(warehouse, summary, sent, day)
    opened = Alert("incident", "t1 broken", "broken: Loops", LAST_DAY, LAST_DAY)
    keep_alerts(warehouse, [opened])

    again = read_past(warehouse, LAST_DAY)
    assert again.same_day == dict(day.values)
    assert again.told_at is None
    assert again.alerts == (opened,)

    tomorrow = LAST_DAY + timedelta(days=1)
    past = read_past(warehouse, tomorrow)
    assert past.same_day is None
    assert past.told_at is not None
    keep_alerts(warehouse, [replace(opened, told_on=tomorrow, closed_on=tomorrow)])
    assert read_past(warehouse, tomorrow + timedelta(days=1)).alerts == ()
    assert warehouse.query("select count(*) from ops.deliveries") == [(2,)]


def test_a_mail_that_was_not_sent_or_failed_told_nothing(warehouse: Warehouse, summary: RunSummary) -> None:
    keep_deliveries(warehouse, summary, [Delivery("Mail", False, "boss", "refused")], make_day(LAST_DAY))
    keep_deliveries(warehouse, summary, [Delivery("Mail", True, "boss", "a failed run")], None)
    assert read_past(warehouse, LAST_DAY) == Past()


def test_a_warehouse_that_takes_no_notes_stops_no_mail(
    warehouse: Warehouse, summary: RunSummary, caplog: pytest.LogCaptureFixture
) -> None:
    with warehouse.session() as cursor:
        cursor.execute(f'alter database "{warehouse.dbname}" set default_transaction_read_only = on')
    keep_deliveries(warehouse, summary, [Delivery("Mail", True, "boss", "sent")], Day(LAST_DAY, {}))
    assert "could not be noted" in caplog.text
    assert read_past(warehouse, LAST_DAY) == Past()

"""What an answer's records depend on: the window and, for recent days, the instant of asking."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedded.demo_api import records
from tests.embedded.demo_api.school import MOSCOW, NOW, UTC, answer, created_at, day, reasons

WEEK = timedelta(days=7)
DAY = timedelta(days=1)


@pytest.mark.parametrize("start", ["2003-02-27", "2012-12-30", "2023-05-31", "2041-09-01"])
def test_same_window_same_records_in_any_year(start: str) -> None:
    now = day("2050-01-01")
    first = answer(day(start), 2 * DAY, now, 0.2)
    assert len(first) > 50
    assert first == answer(day(start), 2 * DAY, now, 0.2)


def test_another_process_makes_the_same_records() -> None:
    code = (
        "import hashlib; from tests.embedded.demo_api.school import *;"
        "print(hashlib.md5('|'.join(answer(day('2026-10-05'), timedelta(days=1))).encode()).hexdigest())"
    )
    made = {subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)}
    assert len(made) == 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, int(2 * DAY.total_seconds() * 1_000_000)), max_size=4),
    st.sampled_from(["2026-10-31", "2026-11-16", "2024-02-28"]),
)
def test_adjacent_windows_make_up_the_whole(cuts: list[int], start: str) -> None:
    begin = day(start)
    borders = [begin, *(begin + timedelta(microseconds=cut) for cut in sorted(cuts)), begin + 2 * DAY]
    parts = [
        record for left, right in zip(borders, borders[1:], strict=False) for record in records(left, right, NOW, 0.1)
    ]
    assert parts == answer(begin, 2 * DAY, NOW, 0.1)


def test_a_window_is_half_open_at_the_microsecond() -> None:
    whole = answer(day("2026-10-05"), DAY)
    moment = next(created for text in whole[500:] if not reasons(text) and (created := created_at(json.loads(text))))
    tick = timedelta(microseconds=1)
    assert len(answer(moment, tick)) >= 1
    before = list(records(day("2026-10-05"), moment, NOW))
    after = list(records(moment, day("2026-10-06"), NOW))
    assert before + after == whole
    assert not any(f"{moment:%Y-%m-%d %H:%M:%S.%f}" in text for text in before)


def test_valid_records_lie_in_the_window_asked_for_and_are_in_order() -> None:
    start = day("2026-11-09")
    moments = [created_at(json.loads(text)) for text in answer(start, WEEK, scale=0.5) if not reasons(text)]
    times = [moment for moment in moments if moment is not None]
    assert len(times) == len(moments) > 5000
    assert start <= times[0]
    assert times[-1] < start + WEEK
    assert times == sorted(times)


def test_nothing_has_happened_after_now() -> None:
    now = datetime(2026, 11, 17, 18, 0, tzinfo=UTC)
    texts = answer(now - DAY, 30 * DAY, now)
    moments = [created_at(json.loads(text)) for text in texts if not reasons(text, now)]
    assert now - timedelta(minutes=15) < max(moment for moment in moments if moment) < now
    assert answer(now, DAY, now) == []


def test_windows_older_than_two_days_do_not_change() -> None:
    start = day("2026-11-09")
    asked_at = start + WEEK + 2 * DAY
    old = answer(start, WEEK, asked_at, 0.5)
    assert old == answer(start, WEEK, asked_at + timedelta(hours=7), 0.5)
    assert old == answer(start, WEEK, asked_at + 4000 * DAY, 0.5)


def test_asking_again_on_the_same_day_changes_nothing() -> None:
    yesterday = day("2026-11-17")
    morning, night = yesterday + DAY + timedelta(minutes=1), yesterday + 2 * DAY - timedelta(minutes=1)
    assert answer(yesterday, DAY, morning) == answer(yesterday, DAY, night)


def test_the_next_day_brings_late_records_and_corrected_verdicts() -> None:
    yesterday = day("2026-11-17")
    first = _submits_and_runs(answer(yesterday, DAY, yesterday + 1.4 * DAY, 2))
    again = _submits_and_runs(answer(yesterday, DAY, yesterday + 2.1 * DAY, 2))
    late = again.keys() - first.keys()
    corrected = {key for key in first if first[key] != again[key]}
    assert first.keys() < again.keys()
    assert 0.001 < len(late) / len(again) < 0.01
    assert 0.0005 < len(corrected) / len(again) < 0.01
    assert all({first[key], again[key]} == {0, 1} for key in corrected)
    for key in late | corrected:
        assert datetime.fromisoformat(f"{key[3]}+00:00").astimezone(MOSCOW).hour >= 18


def test_looking_back_a_day_finds_everything() -> None:
    """Daily loads, each from a day before the end of the last, end with what is known long afterwards."""
    start = day("2026-11-02")
    seen: dict[tuple[str, ...], object] = {}
    for number in range(1, 8):
        end = start + number * DAY
        seen |= _submits_and_runs(answer(end - 2 * DAY, 2 * DAY, end + timedelta(hours=5), 0.5))
    final = _submits_and_runs(answer(start - DAY, 7 * DAY, scale=0.5))
    known = start + 6 * DAY
    assert {key: seen[key] for key in seen if key[3] < f"{known.astimezone(UTC)}"} == {
        key: final[key] for key in final if key[3] < f"{known.astimezone(UTC)}"
    }


def test_scale_multiplies_the_records() -> None:
    small, large = (len(answer(day("2026-10-05"), DAY, scale=scale)) for scale in (0.5, 4))
    assert 6 < large / small < 10


def test_memory_does_not_grow_with_the_window() -> None:
    def peak(days: int) -> int:
        tracemalloc.start()
        for _ in records(day("2026-09-07"), day("2026-09-07") + days * DAY, NOW, 0.3):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(16) < 3 * peak(4)


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        records(datetime(2026, 1, 1), datetime(2026, 1, 2), NOW)


def test_repeated_records_share() -> None:
    texts = answer(day("2026-11-02"), WEEK)
    repeats = sum(count - 1 for count in Counter(texts).values() if count > 1)
    assert 0.002 < repeats / len(texts) < 0.01


def _submits_and_runs(texts: list[str]) -> dict[tuple[str, ...], object]:
    """Each valid attempt's verdict, the last in the list, by what identifies the attempt."""
    found: dict[tuple[str, ...], object] = {}
    for text in texts:
        if not reasons(text):
            record = json.loads(text)
            moment = created_at(record)
            key = (
                record["lti_user_id"],
                str(record["passback_params"]),
                record["attempt_type"],
                f"{moment:%F %T.%f}",
            )
            found[key] = record.get("is_correct")
    return found

"""Which time is asked for, and in which steps."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.windows import DAY, OVERLAP, Window, format_instant, halves, missing, plan, slices, union
from tests.ingestion.fake_api import instant, window

MOSCOW = ZoneInfo("Europe/Moscow")
NEW_YORK = ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)

moments = st.datetimes(datetime(2019, 12, 1), datetime(2020, 2, 1), timezones=st.just(timezone.utc))


@st.composite
def some_windows(draw: st.DrawFn) -> Window:
    first, second = sorted(draw(st.lists(moments, min_size=2, max_size=2, unique=True)))
    return Window(first, second)


def test_a_window_must_end_after_its_start() -> None:
    with pytest.raises(ValueError, match="not after its start"):
        window("2023-04-02", "2023-04-02")


def test_a_window_needs_time_zones() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Window(datetime(2023, 4, 1), datetime(2023, 4, 2))  # noqa: DTZ001


def test_instants_are_written_in_utc_with_microseconds() -> None:
    assert format_instant(datetime(2023, 4, 1, 3, tzinfo=MOSCOW)) == "2023-04-01 00:00:00.000000"
    assert format_instant(instant("0999-01-01T00:00:00.000001")) == "0999-01-01 00:00:00.000001"


def test_the_first_run_asks_for_yesterday_in_the_zone() -> None:
    now = instant("2023-06-01T22:30:00")
    assert plan([], now, MOSCOW) == [window("2023-05-31T21:00:00", "2023-06-01T21:00:00")]
    assert plan([], now, ZoneInfo("UTC")) == [window("2023-05-31", "2023-06-01")]


def test_the_first_run_begins_with_the_start_date_else_the_demos_first_day() -> None:
    now = instant("2023-06-03T12:00:00")
    end = "2023-06-02T21:00:00"
    assert plan([], now, MOSCOW, date(2023, 5, 1)) == [window("2023-04-30T21:00:00", end)]
    assert plan([], now, MOSCOW, None, DAY, date(2023, 5, 10)) == [window("2023-05-09T21:00:00", end)]
    assert plan([], now, MOSCOW, date(2023, 5, 1), DAY, date(2023, 5, 10)) == [window("2023-04-30T21:00:00", end)]


def test_missed_days_are_caught_up_with_the_look_back() -> None:
    loaded = [window("2023-05-01", "2023-05-20T21:00:00")]
    now = instant("2023-05-25T10:00:00")
    assert plan(loaded, now, MOSCOW) == [window("2023-05-19T21:00:00", "2023-05-24T21:00:00")]
    assert plan(loaded, now, MOSCOW, lookback=timedelta(0)) == [
        window("2023-05-20T20:59:59.999999", "2023-05-24T21:00:00")
    ]


def test_the_same_day_again_asks_for_the_look_back_alone() -> None:
    loaded = [window("2023-05-01", "2023-05-24T21:00:00")]
    now = instant("2023-05-25T10:00:00")
    assert plan(loaded, now, MOSCOW) == [window("2023-05-23T21:00:00", "2023-05-24T21:00:00")]
    assert plan(loaded, now, MOSCOW, lookback=timedelta(0)) == []


def test_a_clock_set_back_asks_for_nothing() -> None:
    loaded = [window("2023-05-01", "2023-05-24T21:00:00")]
    assert plan(loaded, instant("2023-05-20T10:00:00"), MOSCOW) == []


def test_a_start_date_fills_every_hole_after_it() -> None:
    loaded = [
        window("2023-05-03", "2023-05-05"),
        window("2023-05-08", "2023-05-09"),
        window("2023-05-10", "2023-05-20"),
    ]
    now = instant("2023-05-21T12:00:00")
    assert plan(loaded, now, ZoneInfo("UTC"), date(2023, 5, 1), HOUR) == [
        Window(instant("2023-05-01"), instant("2023-05-03") + OVERLAP),
        Window(instant("2023-05-05") - OVERLAP, instant("2023-05-08") + OVERLAP),
        Window(instant("2023-05-09") - OVERLAP, instant("2023-05-10") + OVERLAP),
        window("2023-05-19T23:00:00", "2023-05-21"),
    ]
    assert plan(loaded, now, ZoneInfo("UTC"), date(2023, 5, 8), HOUR)[0].start == instant("2023-05-09") - OVERLAP
    assert plan(loaded, now, ZoneInfo("UTC"), None, HOUR) == [window("2023-05-19T23:00:00", "2023-05-21")]


@pytest.mark.parametrize(
    ("today", "hours"),
    [("2023-03-13T12:00:00", 23), ("2023-11-06T12:00:00", 25), ("2023-07-02T12:00:00", 24)],
)
def test_days_of_23_and_25_hours(today: str, hours: int) -> None:
    (only,) = plan([], instant(today), NEW_YORK)
    assert only.length == timedelta(hours=hours)
    assert only.start.astimezone(NEW_YORK).hour == only.end.astimezone(NEW_YORK).hour == 0


def test_a_day_that_has_no_midnight_begins_where_its_gap_ends() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    (only,) = plan([], instant("2022-03-28T12:00:00"), beirut)
    assert only == window("2022-03-26T22:00:00", "2022-03-27T21:00:00")


def test_slices_are_days_from_the_windows_start_and_keep_its_ends() -> None:
    whole = window("2023-04-01T12:46:47.860798", "2023-04-03T13:00:00")
    assert list(slices(whole, instant("2023-05-01"))) == [
        window("2023-04-01T12:46:47.860798", "2023-04-02T12:46:47.860798"),
        window("2023-04-02T12:46:47.860797", "2023-04-03T12:46:47.860798"),
        window("2023-04-03T12:46:47.860797", "2023-04-03T13:00:00"),
    ]


def test_the_far_future_and_the_far_past_are_one_slice_each() -> None:
    now = instant("2023-05-01T12:00:00")
    whole = window("0001-01-01", "9999-12-31T23:59:59.999999")
    steps = list(slices(whole, now))
    assert len(steps) < 9000
    assert steps[0] == window("0001-01-01", "2000-01-01")
    assert steps[-1] == Window(instant("2023-05-03") - OVERLAP, whole.end)


@given(some_windows(), moments, st.integers(1, 400))
def test_slices_cover_the_window_and_overlap_by_a_microsecond(whole: Window, now: datetime, hours: int) -> None:
    steps = list(slices(whole, now, hours * HOUR))
    assert (steps[0].start, steps[-1].end) == (whole.start, whole.end)
    for one, other in zip(steps, steps[1:], strict=False):
        assert one.end - other.start == OVERLAP


@given(some_windows(), moments, st.booleans(), st.booleans(), st.integers(0, 60 * 24 * 60))
def test_no_record_at_an_inner_border_is_lost(
    whole: Window, now: datetime, start_included: bool, end_included: bool, minute: int
) -> None:
    def answers(step: Window, moment: datetime) -> bool:
        after = moment >= step.start if start_included else moment > step.start
        return after and (moment <= step.end if end_included else moment < step.end)

    steps = list(slices(whole, now, 7 * HOUR))
    borders = {edge for step in steps for edge in (step.start, step.end)}
    candidates = {border + delta for border in borders for delta in (-OVERLAP, timedelta(0), OVERLAP)}
    candidates.add(whole.start + timedelta(minutes=minute))
    for moment in candidates:
        assert any(answers(step, moment) for step in steps) == answers(whole, moment)


@given(some_windows())
def test_halves_cover_their_whole(whole: Window) -> None:
    if whole.length < timedelta(milliseconds=1):
        return
    first, second = halves(whole)
    assert (first.start, second.end) == (whole.start, whole.end)
    assert first.end - second.start == OVERLAP


@given(some_windows(), st.lists(some_windows(), max_size=6))
def test_what_is_missing_and_what_is_covered_make_the_whole(whole: Window, covered: list[Window]) -> None:
    rest = missing(whole, covered)
    merged = union([*rest, *covered])
    assert any(part.start <= whole.start and whole.end <= part.end for part in merged)
    for part in rest:
        inner = [cover for cover in union(covered) if cover.start <= part.start and part.end <= cover.end]
        assert not inner
        assert whole.start <= part.start
        assert part.end <= whole.end


@given(st.lists(some_windows(), max_size=6))
def test_union_is_ordered_and_apart(windows: list[Window]) -> None:
    merged = union(windows)
    assert all(one.end < other.start for one, other in zip(merged, merged[1:], strict=False))
    assert all(any(whole.start <= part.start and part.end <= whole.end for whole in merged) for part in windows)


@given(st.lists(some_windows(), max_size=5), moments, st.integers(0, 72))
def test_after_a_plan_was_loaded_nothing_is_missing(loaded: list[Window], now: datetime, hours: int) -> None:
    first = date(2019, 12, 5)
    wanted = plan(loaded, now, MOSCOW, first, hours * HOUR)
    begin = instant("2019-12-04T21:00:00")
    end = datetime.combine(now.astimezone(MOSCOW).date(), datetime.min.time(), MOSCOW).astimezone(timezone.utc)
    if begin < end:
        assert missing(Window(begin, end), [*loaded, *wanted]) == []
    assert plan([*loaded, *wanted], now, MOSCOW, first, timedelta(0)) == []

"""The stories planted in the demo school, found in its records on any date by the definitions of the marts."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from math import log
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from embedded.demo_api import records, stories
from tests.embedded.demo_api.school import UTC, created_at, params, reasons

MOSCOW = ZoneInfo("Europe/Moscow")
DAY = timedelta(days=1)
# A working day, a Saturday, a Sunday, 29 February, the ends of a year, days of 23 and 25 hours in Moscow and Berlin;
# the last two are the least usual days of twenty years.
DATES = [
    *("2026-11-17", "2026-11-14", "2026-11-15", "2024-02-29", "2025-12-31", "2026-01-01", "2026-01-05"),
    *("2010-03-28", "2010-10-31", "2026-03-29", "2026-10-25", "2030-04-19", "2032-01-02"),
]
on_any_date = pytest.mark.parametrize("last_day", [date.fromisoformat(text) for text in DATES], ids=str)


class Try(NamedTuple):
    """An attempt at a task of the drills: `correct` is None for a run."""

    moment: datetime
    learner: str
    block: str
    correct: bool | None


def midnight(day: date, zone: ZoneInfo = MOSCOW) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@cache
def drills(last_day: date, days: int, zone: ZoneInfo = MOSCOW) -> list[Try]:
    """The attempts of the drills on the days that end with `last_day`, as known some hours later."""
    end = midnight(last_day + DAY, zone)
    found = []
    for text in records(midnight(last_day - (days - 1) * DAY, zone), end, end + timedelta(hours=5), 0.01):
        if stories.COURSE_KEY in text:
            assert not reasons(text, end)
            record = json.loads(text)
            block = params(record)["lis_result_sourcedid"].split(":")[2][-32:]
            correct = None if record["is_correct"] is None else bool(record["is_correct"])
            moment = created_at(record)
            assert moment is not None
            found.append(Try(moment, record["lti_user_id"], block, correct))
    return found


def pairs(tries: list[Try]) -> dict[tuple[str, str], list[Try]]:
    """The attempts of each learner at each task, in order of time."""
    found: dict[tuple[str, str], list[Try]] = defaultdict(list)
    for one in sorted(tries):
        found[one.learner, one.block].append(one)
    return found


def active_seconds(tries: list[Try]) -> float:
    gaps = [(later.moment - earlier.moment).total_seconds() for earlier, later in pairwise(tries)]
    return sum(gap for gap in gaps if gap < 600)


def broken_tasks(last_day: date, zone: ZoneInfo) -> list[str]:
    """The tasks that `marts.task_incidents` calls broken, because learners fail who had solved them before."""
    start = midnight(last_day, zone)
    graded = [one for one in drills(last_day, 29, zone) if one.correct is not None]
    found = []
    for block in sorted({one.block for one in graded}):
        before = [one for one in graded if one.block == block and one.moment < start]
        now = [one for one in graded if one.block == block and one.moment >= start]
        if len(now) < 8 or len({one.learner for one in now}) < 5 or len(before) < 50:
            continue
        q, p0 = (sum(bool(one.correct) for one in some) / len(some) for some in (now, before))
        llr = len(now) * sum(x * log(x / y) for x, y in ((q, p0), (1 - q, 1 - p0)) if x)
        solved_before = {one.learner for one in before if one.correct}
        failing = {one.learner for one in now} - {one.learner for one in now if one.correct}
        if llr >= 8 and q < p0 and len(solved_before & failing) >= 2:
            found.append(block)
    return found


@on_any_date
@pytest.mark.parametrize("zone", ["Europe/Moscow", "Europe/Berlin", "Asia/Tokyo", "America/New_York"])
def test_one_drill_is_broken_on_the_last_full_day(last_day: date, zone: str) -> None:
    assert broken_tasks(last_day, ZoneInfo(zone)) == [stories.broken_drill(last_day.toordinal())]


@on_any_date
def test_it_is_broken_for_six_hours(last_day: date) -> None:
    graded = [
        one
        for one in drills(last_day, 1)
        if one.block == stories.broken_drill(last_day.toordinal()) and one.correct is not None
    ]
    # The school's hours are those of UTC+3 in every year.
    broken = [one.correct for one in graded if 9 <= one.moment.hour < 15]
    else_correct = [one.correct for one in graded if not 9 <= one.moment.hour < 15]
    assert len(broken) >= 15
    assert not any(broken)
    assert any(else_correct)


@on_any_date
def test_the_wall_is_too_hard(last_day: date) -> None:
    tries = [one for one in drills(last_day, 60) if one.block == stories.WALL]
    graded = [one.correct for one in tries if one.correct is not None]
    by_learner = pairs(tries).values()
    solved = [some for some in by_learner if any(one.correct for one in some)]
    assert 0 < sum(map(bool, graded)) / len(graded) < 0.05
    assert 0.1 < len(solved) / len(by_learner) < 0.3
    hours_lost = sum(map(active_seconds, pairs([one for one in tries if in_last_days(one, last_day, 28)]).values()))
    assert hours_lost / 3600 > 15


@on_any_date
def test_the_riddle_takes_many_submits_and_is_solved(last_day: date) -> None:
    by_learner = pairs([one for one in drills(last_day, 60) if one.block == stories.RIDDLE]).values()
    submits = [[one.correct for one in some if one.correct is not None] for some in by_learner]
    assert len(submits) >= 55
    assert all(verdicts == [False] * 9 + [True] for verdicts in submits)


@on_any_date
def test_learners_are_stuck_and_still_there(last_day: date) -> None:
    tries = drills(last_day, 60)
    stuck = {
        learner
        for (learner, _), some in pairs(tries).items()
        if not any(one.correct for one in some)
        and (sum(one.correct is False for one in some) >= 10 or active_seconds(some) >= 1800)
        and in_last_days(some[-1], last_day, 14)
    }
    active = {one.learner for one in tries if in_last_days(one, last_day, 3)}
    assert len(stuck) >= 8
    assert len(stuck & active) >= 3


@on_any_date
def test_learners_vanish_after_failing(last_day: date) -> None:
    """The newest week of `marts.warning_scorecard`: silent with an unsolved task, then gone."""
    week = last_day + DAY - 14 * DAY
    week -= week.weekday() * DAY
    start = midnight(week)
    history: dict[str, list[Try]] = defaultdict(list)
    for one in drills(last_day, 60):
        history[one.learner].append(one)
    candidates = flagged = vanished = both = 0
    for tries in history.values():
        before = [one for one in tries if one.moment < start]
        if not any(one.moment >= midnight(week - 28 * DAY) for one in before):
            continue
        silent = all(one.moment < midnight(week - 7 * DAY) for one in before)
        unsolved = {one.block for one in before if one.correct is False} - {one.block for one in before if one.correct}
        gone = not any(start <= one.moment < midnight(week + 14 * DAY) for one in tries)
        candidates += 1
        flagged += silent and bool(unsolved)
        vanished += gone
        both += silent and bool(unsolved) and gone
    assert flagged >= 5
    assert both / flagged > vanished / candidates


@on_any_date
def test_a_run_imports_the_tasks_of_an_earlier_one(last_day: date) -> None:
    """The beginners' course is run every six weeks, so that within sixty days a block is met in two runs."""
    runs: dict[str, set[str]] = defaultdict(set)
    for day in (last_day, last_day - 42 * DAY):
        texts = records(midnight(day), midnight(day + DAY), midnight(day + DAY))
        for run, block in re.findall(r"\+PYB-2\.0\+(\w+):[\w.]+-[\w.]+-(\w{32}):", "".join(texts)):
            runs[block].add(run)
    assert sum(len(keys) >= 2 for keys in runs.values()) >= 5


@on_any_date
def test_closed_days_are_revised(last_day: date) -> None:
    """The run of the next day finds records of this day that came late, and verdicts that were corrected."""
    start, end = midnight(last_day), midnight(last_day + DAY)
    first, again = (set(records(start, end, end + timedelta(hours=hours))) for hours in (5, 29))
    gone = {uncorrected(text) for text in first - again}
    new = [uncorrected(text) for text in again - first]
    assert len(gone) >= 1
    assert len(new) > len(gone)
    assert gone < set(new)


def uncorrected(text: str) -> str:
    return re.sub('"is_correct": [01]', "", text)


@on_any_date
def test_a_newcomers_day_is_never_suspect(last_day: date) -> None:
    """`marts.daily_verdicts`: no figure further than two half-widths of the band from what is expected."""
    of_weekday = [figures_of(last_day - 7 * weeks * DAY) for weeks in range(9)]
    for metric in ("attempts", "unique_users", "success_rate"):
        value, *history = (figures[metric] for figures in of_weekday)
        expected = median(history)
        spread = 1.4826 * median(abs(one - expected) for one in history)
        half_width = max(3 * spread, 0.05 if metric == "success_rate" else 0.15 * expected)
        assert abs(value - expected) <= 2 * half_width, metric
    assert of_weekday[0]["rejected_share"] < 0.03


@cache
def figures_of(day: date) -> dict[str, float]:
    start, end = midnight(day), midnight(day + DAY)
    texts = list(records(start, end, end + timedelta(hours=5)))
    valid = [json.loads(text) for text in texts if not reasons(text, end)]
    verdicts = [bool(one["is_correct"]) for one in valid if one.get("is_correct") is not None]
    return {
        "attempts": len(valid),
        "unique_users": len({one["lti_user_id"] for one in valid}),
        "success_rate": sum(verdicts) / len(verdicts),
        "rejected_share": 1 - len(valid) / len(texts),
    }


def in_last_days(one: Try, last_day: date, days: int) -> bool:
    return one.moment >= midnight(last_day - (days - 1) * DAY)


def test_the_stories_do_not_shrink_with_the_school() -> None:
    day = date(2026, 11, 17).toordinal()
    assert len(stories.attempts(day, 0.01)) == len(stories.attempts(day, 1))
    assert 2.5 < len(stories.attempts(day, 3)) / len(stories.attempts(day, 1)) < 3.5

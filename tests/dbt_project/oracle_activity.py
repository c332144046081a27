"""The marts about days and other periods in plain Python, written from the contract alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from fractions import Fraction

from tests.dbt_project.oracle import Attempt, Figures, LearnerTask, Published, local
from tests.dbt_project.oracle_terms import (
    History,
    Row,
    course_of,
    days,
    grouped,
    is_submit,
    monday,
    share,
    success,
    task_of,
    volumes,
)

COUNTS = ("attempts", "unique_users")
_CONSISTENT = Fraction(14826, 10000)


def as_of(history: History) -> list[Row]:
    return [
        {
            "as_of_day": history.as_of_day_if_any,
            "covered_until": history.covered_until,
            "history_from": history.history_from,
        }
    ]


# --- periods ---


def weekly_metrics(history: History) -> list[Row]:
    return _periods(history, "week_start", monday, lambda start: start + days(7))


def monthly_metrics(history: History) -> list[Row]:
    return _periods(history, "month_start", lambda day: day.replace(day=1), _next_month)


def _next_month(month: date) -> date:
    return (month + days(31)).replace(day=1)


def _periods(
    history: History, name: str, start_of: Callable[[date], date], following: Callable[[date], date]
) -> list[Row]:
    """Every period from the first to the last with an attempt."""
    if not history.attempts:
        return []
    sets = grouped(history.attempts, lambda a: start_of(history.day(a)))
    figures = _figures(history.attempts)
    rows = []
    start = min(sets)
    while start <= max(sets):
        end = following(start)
        assert history.history_from is not None
        known = history.start_of(start) >= history.history_from
        rows.append(
            {
                name: start,
                "is_complete": known and end - days(1) <= history.as_of_day,
                **figures.metrics(sets.get(start, [])),
            }
        )
        start = end
    return rows


def _figures(attempts: Sequence[Attempt]) -> Figures:
    pairs = grouped(attempts, lambda a: a.task).values()
    return Figures(attempts, [LearnerTask(own) for own in pairs])


def course_daily_metrics(history: History) -> list[Row]:
    return _course_periods(history, "activity_date", lambda day: day)


def course_weekly_metrics(history: History) -> list[Row]:
    return _course_periods(history, "week_start", monday)


def _course_periods(history: History, name: str, start_of: Callable[[date], date]) -> list[Row]:
    rows = []
    for course, attempts in grouped(history.attempts, course_of).items():
        # Only the course's attempts are known here: new is who is new in it.
        figures = _figures(attempts)
        for start, chosen in grouped(attempts, lambda a: start_of(history.day(a))).items():
            rows.append({"course_key": course, name: start, **figures.metrics(chosen)})
    return rows


def activity_hours(history: History) -> list[Row]:
    latest = history.as_of_day_if_any
    recent = history.between(latest - days(27), latest) if latest else []
    cells = grouped(recent, lambda a: _cell(history, a))
    return [
        {
            "weekday": weekday,
            "hour": hour,
            "attempts": len(cell),
            "submits": sum(is_submit(a) for a in cell),
            "unique_users": len({a.user_id for a in cell}),
        }
        for weekday in range(1, 8)
        for hour in range(24)
        for cell in [cells.get((weekday, hour), [])]
    ]


def _cell(history: History, attempt: Attempt) -> tuple[int, int]:
    clock = local(attempt.created_at, history.zone)
    return clock.isoweekday(), clock.hour


# --- movers ---


def daily_movers(history: History) -> list[Row]:
    if not history.attempts:
        return []
    now = history.by_day.get(history.as_of_day, [])
    before = history.by_day.get(history.as_of_day - days(7), [])
    return [
        *_movers("course", course_of, now, before),
        *_movers("task", lambda a: history.task_id(task_of(a)), now, before),
    ]


def _movers(dimension: str, key_of: Callable[[Attempt], str], now: list[Attempt], before: list[Attempt]) -> list[Row]:
    keys_now, keys_before = grouped(now, key_of), grouped(before, key_of)
    rows = []
    for key in keys_now.keys() | keys_before.keys():
        of_key, of_key_before = keys_now.get(key, []), keys_before.get(key, [])
        rows.append(
            {
                "dimension": dimension,
                "key": key,
                **_moved(of_key, ""),
                **_moved(of_key_before, "_before"),
                "success_effect": _effect(of_key, of_key_before, now, before),
            }
        )
    return rows


def _moved(attempts: list[Attempt], suffix: str) -> Row:
    counts = volumes(attempts)
    return {
        f"attempts{suffix}": counts["attempts"],
        f"graded_submits{suffix}": counts["graded_submits"],
        f"correct_submits{suffix}": counts["correct_submits"],
        f"unique_users{suffix}": len({a.user_id for a in attempts}),
    }


def _effect(
    of_key: list[Attempt], of_key_before: list[Attempt], now: list[Attempt], before: list[Attempt]
) -> Fraction | None:
    whole0, whole1 = success(before), success(now)
    if whole0 is None or whole1 is None:
        return None
    own0, own1 = success(of_key_before), success(of_key)
    if own0 is None and own1 is None:
        return Fraction(0)
    r0 = own1 if own0 is None else own0
    r1 = own0 if own1 is None else own1
    assert r0 is not None
    assert r1 is not None
    w0, w1 = _graded_share(of_key_before, before), _graded_share(of_key, now)
    return (r1 - r0) * (w0 + w1) / 2 + (w1 - w0) * ((r0 + r1) / 2 - (whole0 + whole1) / 2)


def _graded_share(of_key: list[Attempt], whole: list[Attempt]) -> Fraction:
    return Fraction(volumes(of_key)["graded_submits"], volumes(whole)["graded_submits"])


# --- verdicts ---


def daily_verdicts(history: History) -> list[Row]:
    if not history.attempts:
        return []
    first, last = min(history.by_day), history.as_of_day
    calendar = [first + days(number) for number in range((last - first).days + 1)]
    new_records = _new_records(history)
    rows = []
    for metric in (*COUNTS, "success_rate", "rejected_share"):
        values = {day: _value(history, metric, day, new_records) for day in calendar}
        rows += [_verdict_row(metric, day, values, new_records) for day in calendar]
    return rows


def _new_records(history: History) -> dict[date, tuple[int, int]]:
    """Rejected and all new records of the loads that were fetched on the day after."""
    found: dict[date, tuple[int, int]] = {}
    for load_id, calls in grouped(history.calls, lambda call: call.load_id).items():
        day = history.day_of(min(call.fetched_at for call in calls)) - days(1)
        rejected, new = found.get(day, (0, 0))
        receipt = history.receipts[load_id]
        found[day] = rejected + receipt["rejected"], new + receipt["rejected"] + receipt["accepted"]
    return found


def _value(history: History, metric: str, day: date, new_records: dict[date, tuple[int, int]]) -> Fraction | None:
    attempts = history.by_day.get(day, [])
    if metric == "attempts":
        return Fraction(len(attempts))
    if metric == "unique_users":
        return Fraction(len({a.user_id for a in attempts}))
    if metric == "success_rate":
        return success(attempts)
    return share(*new_records.get(day, (0, 0)))


def _verdict_row(
    metric: str, day: date, values: dict[date, Fraction | None], new_records: dict[date, tuple[int, int]]
) -> Row:
    same_weekday = (values.get(day - days(7 * back)) for back in range(1, 9))
    usual = expectation(metric, [value for value in same_weekday if value is not None])
    expected, half_width = usual or (None, None)
    low, high = band(metric, *usual) if usual else (None, None)
    new = new_records.get(day, (0, 0))[1]
    return {
        "activity_date": day,
        "metric": metric,
        "value": values[day],
        # An interpolated median is a floating-point number in PostgreSQL.
        "expected": None if expected is None else float(expected),
        "band_low": None if low is None else float(low),
        "band_high": None if high is None else float(high),
        "verdict": verdict(metric, values[day], expected, half_width, new),
    }


def expectation(metric: str, past: Sequence[Fraction]) -> tuple[Fraction, Fraction] | None:
    """The median of what the weekday used to be, and how far from it is usual."""
    if len(past) < 4:
        return None
    expected = interpolated_median(past)
    spread = _CONSISTENT * interpolated_median([abs(value - expected) for value in past])
    least = Fraction(15, 100) * expected if metric in COUNTS else Fraction(5, 100)
    return expected, max(3 * spread, least)


def interpolated_median(values: Iterable[Fraction]) -> Fraction:
    """percentile_cont(0.5)."""
    ordered = sorted(values)
    middle = Fraction(len(ordered) - 1, 2)
    return (ordered[math.floor(middle)] + ordered[math.ceil(middle)]) / 2


def band(metric: str, expected: Fraction, half_width: Fraction) -> tuple[Fraction, Fraction]:
    low, high = max(expected - half_width, Fraction(0)), expected + half_width
    if metric in COUNTS:
        return low, high
    return Fraction(0) if metric == "rejected_share" else low, min(high, Fraction(1))


def verdict(
    metric: str, value: Fraction | None, expected: Fraction | None, half_width: Fraction | None, new_records: int
) -> str:
    if metric == "rejected_share" and value is not None and new_records >= 100 and value >= Fraction(1, 2):
        return "suspect"
    if value is None or expected is None or half_width is None:
        return "no_history"
    if metric == "attempts" and value == 0 and expected >= 20:
        return "suspect"
    above = value - expected
    below = 0 if metric == "rejected_share" else -above
    if max(above, below) > 2 * half_width:
        return "suspect"
    if below > half_width:
        return "unusual_low"
    return "unusual_high" if above > half_width else "normal"


# --- revisions ---


def day_revisions(published: Sequence[Published]) -> list[list[Row]]:
    """For each build but the first, the figures of closed days that it published otherwise."""
    return [_revised(old, new) for old, new in zip(published, published[1:], strict=False)]


def _revised(old: Published, new: Published) -> list[Row]:
    return [
        {"activity_date": day, "metric": metric, "old_value": before, "new_value": new.days[day][metric]}
        for day, figures in old.days.items()
        if day in new.days and old.as_of_day is not None and day <= old.as_of_day
        for metric, before in figures.items()
        if before != new.days[day][metric]
    ]

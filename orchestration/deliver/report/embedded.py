"""What the page's script draws and filters, packed as columns, and the charts it draws them with."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import vl_convert

from orchestration.deliver.catalogue import mark
from orchestration.deliver.charts import LOCALES, specification
from orchestration.deliver.columns import Row
from orchestration.deliver.figures import Figures
from orchestration.deliver.words import NO_COURSE, Words

DAYS = 90
WEEKS = 104
"""How far back the page looks, by day and by week."""
CHARTS = ("days", "tasks", "hours", "cohorts")
COUNTED = ("attempts", "correct_submits", "graded_submits", "unique_users")
"""The columns of days and weeks that the page shows or filters."""

# The charts' own colours, which mails show, and what the style sheet calls them: they change with it.
THEME = {
    "white": "transparent",
    "#2f6299": "var(--accent)",
    "#4c78a8": "var(--band)",
    "#8795a5": "var(--shade)",
    "#d1495b": "var(--mark)",
    "#e6eaee": "var(--line)",
    "#4a5763": "var(--soft)",
    "#1a222c": "var(--ink)",
    "#ffffff": "var(--on-accent)",
    "#fefefe": "var(--ground)",
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Helvetica, Arial, sans-serif"
TEXTS = {
    "attempts": mark("Attempts"),
    "submits": mark("Submits"),
    "unique_users": mark("Unique users"),
    "success_rate": mark("Success rate"),
    "usual": mark("usually {band}"),
    "week": mark("Week from {day}"),
    "mean": mark("mean of the 7 days up to {day}"),
    "few": mark("fewer than 5 learners"),
    "right": mark("Right at the first submit"),
    "discrimination": mark("Discrimination"),
    "hours": mark("Hours lost, 28 days"),
    "cohort": mark("Began in the week of {week}: {learners}"),
    "active": mark("Active in week {number}: {active}"),
    "drawn": mark("{shown} of {all} tasks are drawn; the others have too few learners for a discrimination."),
    "course": mark("Course: {course}"),
    "day": mark("Day"),
    "week_from": mark("Week from"),
}
"""The texts that the script fills in."""


def embedded(figures: Figures, words: Words) -> str:
    """The data as JSON that can stand in a script element."""
    place = places(figures)
    days, weeks = days_shown(figures), weeks_shown(figures)
    data = {
        "language": str(words.locale).replace("_", "-"),
        "locale": {"number": _number_format(words), "time": vl_convert.get_time_format_locale(LOCALES[words.language])},
        "texts": {name: words.text(text) for name, text in TEXTS.items()},
        "charts": {name: themed(specification(name, (), words)) for name in CHARTS},
        "config": {"font": FONT, "mark": {"aria": False}, "axisY": {"minExtent": 46}},
        "courses": [words.course(course["title"]) for course in figures.courses],
        "days": {
            "dates": [day.isoformat() for day in days],
            "labels": [words.short_day(day) for day in days],
            "long": [words.day(day) for day in days],
            "weekend": [int(day.weekday() >= 5) for day in days],
            "whole": _whole_days(figures, days),
            "courses": course_days(figures),
            "bands": _bands(figures, days),
        },
        "weeks": {
            "dates": [week.isoformat() for week in weeks],
            "labels": [words.day_of_month(week) for week in weeks],
            "long": [words.day(week) for week in weeks],
            "whole": _whole_weeks(figures, weeks),
            "courses": _by_course(figures.course_weeks, "week_start", weeks, place),
        },
        "tasks": _tasks(figures, words, place),
        "hours": _hours(figures, words),
        "cohorts": _cohorts(figures, words),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace("\u2028", r"\u2028").replace("\u2029", r"\u2029")


def places(figures: Figures) -> dict[str, int]:
    """The place of each course among those of the page, by its key."""
    return {course["course_key"]: number for number, course in enumerate(figures.courses)}


def course_days(figures: Figures) -> dict[str, list[Any]]:
    """For each column a list for each course, with a number for each day of the page."""
    return _by_course(figures.course_days, "activity_date", days_shown(figures), places(figures))


def days_shown(figures: Figures) -> list[date]:
    """The days of the page: at most 90, from the first known one to the last full day."""
    if figures.as_of_day is None or not figures.days:
        return []
    first = max(figures.days[0].date, figures.as_of_day - timedelta(days=DAYS - 1))
    return [first + timedelta(days=number) for number in range((figures.as_of_day - first).days + 1)]


def weeks_shown(figures: Figures) -> list[date]:
    """The Mondays of the page: the complete weeks of two years, oldest first."""
    return sorted(row["week_start"] for row in figures.weekly if row["is_complete"])[-WEEKS:]


def themed(part: Any) -> Any:
    """A chart with the style sheet's colours."""
    if isinstance(part, list):
        return [themed(inner) for inner in part]
    if isinstance(part, dict):
        return {key: themed(inner) for key, inner in part.items()}
    return THEME.get(part, part) if isinstance(part, str) else part


def short(value: float | None, digits: int = 4) -> float | int | None:
    """A number with no more digits than anyone can see; None for what JSON can't hold."""
    if value is None or not math.isfinite(value):
        return None
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _number_format(words: Words) -> Mapping[str, Any]:
    return {**vl_convert.get_format_locale(LOCALES[words.language]), "percent": words.share(0, 0).replace("0", "")}


def _whole_days(figures: Figures, days: Sequence[date]) -> dict[str, list[Any]]:
    """All courses together; the graded submits, which the mart's columns lack, are the sum of the courses'."""
    graded: dict[date, int] = {}
    for row in figures.course_days:
        graded[row["activity_date"]] = graded.get(row["activity_date"], 0) + row["graded_submits"]
    known = {day.date: day.values for day in figures.days}
    columns = {name: [short((known.get(day) or {}).get(name)) or 0 for day in days] for name in COUNTED}
    return {
        **columns,
        "graded_submits": [graded.get(day, 0) for day in days],
        "success_rate": [(known.get(day) or {}).get("success_rate") for day in days],
    }


def _whole_weeks(figures: Figures, weeks: Sequence[date]) -> dict[str, list[Any]]:
    known = {row["week_start"]: row for row in figures.weekly}
    return {name: [known[week][name] for week in weeks] for name in (*COUNTED, "success_rate")}


def _by_course(rows: Iterable[Row], key: str, dates: Sequence[date], place: Mapping[str, int]) -> dict[str, list[Any]]:
    """For each column a list for each course, with a number for each date; `is_small` as the places of those dates."""
    at = {day: number for number, day in enumerate(dates)}
    columns: dict[str, list[Any]] = {name: [[0] * len(dates) for _ in place] for name in COUNTED}
    small: list[list[int]] = [[] for _ in place]
    for row in rows:
        number, course = at.get(row[key]), place.get(row["course_key"])
        if number is None or course is None:
            continue
        for name in COUNTED:
            columns[name][course][number] = row[name]
        if row["is_small"]:
            small[course].append(number)
    return {**columns, "is_small": small}


def _bands(figures: Figures, days: Sequence[date]) -> dict[str, dict[str, list[Any]]]:
    known = {(row["metric"], row["activity_date"]): row for row in figures.bands}
    return {
        metric: {
            side: [short((known.get((metric, day)) or {}).get(f"band_{side}")) for day in days]
            for side in ("low", "high")
        }
        for metric in ("attempts", "unique_users", "success_rate")
    }


def _tasks(figures: Figures, words: Words, place: Mapping[str, int]) -> dict[str, list[Any]]:
    drawn = [task for task in figures.tasks if task["discrimination"] is not None and not task["is_small"]]
    every = [place.get(task["course_key"] or NO_COURSE, -1) for task in figures.tasks]
    return {
        "all": [every.count(number) for number in range(len(place))],
        "title": [task["title"] for task in drawn],
        "course": [place.get(task["course_key"] or NO_COURSE, -1) for task in drawn],
        **{
            name: [short(task[name], 3) for task in drawn]
            for name in ("first_submit_success", "discrimination", "learner_hours_lost_28d")
        },
    }


def _hours(figures: Figures, words: Words) -> dict[str, list[Any]]:
    names = words.locale.days["stand-alone"]["abbreviated"]
    return {
        "names": [names[number] for number in range(7)],
        **{name: [row[name] for row in figures.hours] for name in ("weekday", "hour", "attempts", "unique_users")},
    }


def _cohorts(figures: Figures, words: Words) -> dict[str, list[Any]]:
    shown = [row for row in figures.cohorts if not row["is_small"]]
    weeks = sorted({row["cohort_week"] for row in shown})
    sizes = {row["cohort_week"]: row["learners"] for row in shown}
    return {
        "labels": [words.day_of_month(week) for week in weeks],
        "learners": [sizes[week] for week in weeks],
        "cohort": [weeks.index(row["cohort_week"]) for row in shown],
        "weeks_since": [row["weeks_since"] for row in shown],
        "active": [row["active_learners"] for row in shown],
    }

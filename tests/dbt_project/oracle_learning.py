"""The marts about tasks, courses and learners in plain Python, written from the contract alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction

from tests.dbt_project.oracle import Attempt
from tests.dbt_project.oracle_terms import (
    MEDIAN,
    History,
    Number,
    Pair,
    Row,
    Task,
    days,
    grouped,
    is_graded,
    is_submit,
    mean,
    monday,
    quantile,
    share,
    success,
    task_of,
    volumes,
)

# Organisation, course and run.
CourseParts = tuple[str, str, str]

FLAGS = ("new", "stuck", "struggling", "disengaging", "at_risk", "dormant")
_HANDLER = re.compile(r"^(https?://[^/?#]+/courses/[^/?#]+(?:/[^/?#]+/[^/?#]+)?)/xblock/([^/?#]+)/handler", re.ASCII)
_PART = "([^+/:]+)"
_COURSE_KEYS = (re.compile(rf"course-v1:{_PART}\+{_PART}\+{_PART}"), re.compile(f"{_PART}/{_PART}/{_PART}"))


# --- pairs ---


def learner_tasks(history: History) -> list[Row]:
    return [
        {
            "user_id": pair.user_id,
            **_task_columns(history, pair.task),
            "unsplit_sourcedid": pair.task[2],
            "attempts": len(pair.attempts),
            "submits": len(pair.submits),
            "graded_submits": len(pair.graded),
            "correct_submits": len(pair.correct),
            "first_attempt_at": pair.first_attempt_at,
            "last_attempt_at": pair.last_attempt_at,
            "first_submit_at": pair.first_submit_at,
            "first_correct_at": pair.first_correct_at,
            "attempts_to_first_correct": pair.attempts_to_first_correct,
            "first_graded_correct": pair.first_graded_correct,
            "submits_to_first_correct": pair.submits_to_first_correct,
            "runs_before_first_submit": pair.runs_before_first_submit,
            "active_seconds": pair.active_seconds,
            "active_seconds_to_first_correct": pair.active_seconds_to_first_correct,
            "lost_seconds": pair.lost_seconds,
            "is_left_censored": pair.is_left_censored,
            "status": pair.status,
        }
        for pair in history.pairs
    ]


def _task_columns(history: History, task: Task) -> Row:
    return {"task_id": history.task_id(task), "course_key": task[0], "block_id": task[1]}


def is_stuck(history: History, pair: Pair) -> bool:
    """Whether a pair makes its learner stuck."""
    return (
        pair.status == "unsolved"
        and (len(pair.wrong) >= 10 or pair.active_seconds >= 1800)
        and history.day_of(pair.last_attempt_at) >= history.as_of_day - days(13)
    )


def _first_submit_success(pairs: Iterable[Pair]) -> Fraction | None:
    return mean([int(p.graded[0].correct) for p in pairs if p.graded and not p.is_left_censored])


def _solve_rate(pairs: Sequence[Pair]) -> Fraction | None:
    return share(sum(bool(p.correct) for p in pairs), sum(bool(p.graded) for p in pairs))


def _hours_lost_28d(history: History, pairs: Iterable[Pair]) -> Fraction:
    since = history.as_of_day - days(27)
    return sum((p.hours_lost for p in pairs if history.day_of(p.last_attempt_at) >= since), Fraction(0))


# --- tasks ---


def tasks(history: History) -> list[Row]:
    by_task = grouped(history.pairs, lambda pair: pair.task)
    others = _means_on_other_tasks(history.pairs)
    rows = {task: _task_row(history, task, pairs, others) for task, pairs in by_task.items()}
    worst_first = sorted(rows, key=lambda task: (-rows[task]["learner_hours_lost_28d"], history.tie_order(task)))
    for rank, task in enumerate(worst_first, 1):
        rows[task]["repair_rank"] = rank if rows[task]["learner_hours_lost_28d"] else None
    return list(rows.values())


def _task_row(history: History, task: Task, pairs: list[Pair], others: dict[Pair, Fraction]) -> Row:
    attempts = [a for pair in pairs for a in pair.attempts]
    solved = [p for p in pairs if p.correct and not p.is_left_censored]
    efforts = [p.submits_to_first_correct for p in solved]
    minutes = [(p.active_seconds_to_first_correct or Fraction(0)) / 60 for p in solved]
    return {
        **_task_columns(history, task),
        "lms_url": lms_url(attempts),
        "learners": len(pairs),
        **volumes(attempts),
        "runs": sum(not is_submit(a) for a in attempts),
        "learners_submitted": sum(bool(p.graded) for p in pairs),
        "learners_solved": sum(bool(p.correct) for p in pairs),
        "solve_rate": _solve_rate(pairs),
        "first_submits": sum(bool(p.graded) and not p.is_left_censored for p in pairs),
        "first_submit_success": _first_submit_success(pairs),
        "submits_to_solve_median": quantile(efforts, MEDIAN),
        "submits_to_solve_p90": quantile(efforts, Fraction(9, 10)),
        "minutes_to_solve_median": quantile(minutes, MEDIAN),
        "success_by_attempt": [_success_of_attempt(pairs, number) for number in range(1, 6)],
        "discrimination": discrimination([(int(p.graded[0].correct), others[p]) for p in pairs if p in others]),
        "learners_stuck": sum(is_stuck(history, p) for p in pairs),
        "learner_hours_lost": sum((p.hours_lost for p in pairs), Fraction(0)),
        "learner_hours_lost_28d": _hours_lost_28d(history, pairs),
        "first_attempt_at": min(p.first_attempt_at for p in pairs),
        "last_attempt_at": max(p.last_attempt_at for p in pairs),
    }


def lms_url(attempts: Iterable[Attempt]) -> str | None:
    found = (_HANDLER.match(a.values.lis_outcome_service_url or "") for a in attempts)
    return max((f"{match[1]}/jump_to/{match[2]}" for match in found if match), default=None)


def _success_of_attempt(pairs: Iterable[Pair], number: int) -> Fraction | None:
    """The share of those who got to their graded submit of that number, not having solved before."""
    reached = [
        pair.graded[number - 1]
        for pair in pairs
        if len(pair.graded) >= number
        and not pair.is_left_censored
        and not any(a.correct for a in pair.graded[: number - 1])
    ]
    return success(reached)


def _means_on_other_tasks(pairs: Iterable[Pair]) -> dict[Pair, Fraction]:
    """The mean first verdict on the other tasks of the course, for each pair that has five of them."""
    first_tries = [p for p in pairs if p.graded and not p.is_left_censored]
    means = {}
    for group in grouped(first_tries, lambda pair: (pair.user_id, pair.course)).values():
        for pair in group:
            others = [int(p.graded[0].correct) for p in group if p is not pair]
            if len(others) >= 5:
                means[pair] = Fraction(sum(others), len(others))
    return means


def discrimination(points: Sequence[tuple[int, Fraction]]) -> float | None:
    """Pearson's correlation, exact but for the last root."""
    if len(points) < 30:
        return None
    x_mean = Fraction(sum(x for x, _ in points), len(points))
    y_mean = sum((y for _, y in points), Fraction(0)) / len(points)
    xx = sum((x - x_mean) ** 2 for x, _ in points)
    yy = sum((y - y_mean) ** 2 for _, y in points)
    xy = sum((x - x_mean) * (y - y_mean) for x, y in points)
    if not xx or not yy:
        return None
    return math.copysign(math.sqrt(xy * xy / (xx * yy)), xy)


# --- learners and courses ---


class Enrolment:
    """One learner in one course."""

    def __init__(self, history: History, pairs: list[Pair]) -> None:
        self.user_id, self.course = pairs[0].user_id, pairs[0].course
        self.pairs = pairs
        self.attempts = [a for pair in pairs for a in pair.attempts]
        self.days = sorted({history.day(a) for a in self.attempts})
        self.first_day, self.last_day = self.days[0], self.days[-1]
        as_of = history.as_of_day
        self.days_silent = max((as_of - self.last_day).days, 0)
        self.graded_7d = sum(is_graded(a) and history.day(a) >= as_of - days(6) for a in self.attempts)
        solved = [p.first_correct_at for p in pairs if p.first_correct_at is not None]
        self.solved_7d = sum(history.day_of(instant) >= as_of - days(6) for instant in solved)
        self.stuck = sum(is_stuck(history, p) for p in pairs)

    @property
    def unsolved(self) -> int:
        return sum(p.status == "unsolved" for p in self.pairs)

    @property
    def submits_per_solved(self) -> Number:
        return Fraction(self.graded_7d, self.solved_7d) if self.solved_7d else math.inf


def enrolments(history: History) -> list[Enrolment]:
    """Every learner in every course of theirs."""
    groups = grouped(history.pairs, lambda pair: (pair.user_id, pair.course))
    return [Enrolment(history, pairs) for pairs in groups.values()]


def learner_courses(history: History) -> list[Row]:
    rows = []
    for course in grouped(enrolments(history), lambda one: one.course).values():
        busy = [one.submits_per_solved for one in course if one.graded_7d > 0]
        much = quantile(busy, Fraction(85, 100)) if len(busy) >= 20 else None
        rows += [_learner_row(history, one, much) for one in course]
    return rows


def _learner_row(history: History, one: Enrolment, much: Number | None) -> Row:
    flags = _flags(history, one, much)
    return {
        "user_id": one.user_id,
        "course_key": one.course,
        **volumes(one.attempts),
        "active_days": len(one.days),
        "first_day": one.first_day,
        "last_day": one.last_day,
        "tasks_tried": len(one.pairs),
        "tasks_solved": sum(p.status == "solved" for p in one.pairs),
        "tasks_unsolved": one.unsolved,
        "tasks_stuck": one.stuck,
        "graded_submits_7d": one.graded_7d,
        "tasks_solved_7d": one.solved_7d,
        "days_silent": one.days_silent,
        **flags,
        "reasons": [name for name in FLAGS if flags[name]],
    }


def _flags(history: History, one: Enrolment, much: Number | None) -> dict[str, bool]:
    as_of = history.as_of_day
    rate = one.submits_per_solved
    week_before = any(as_of - days(13) <= day <= as_of - days(7) for day in one.days)
    # Days later than D count as D.
    this_week = any(day >= as_of - days(6) for day in one.days)
    return {
        "new": one.first_day > as_of - days(7),
        "stuck": one.stuck > 0,
        "struggling": one.graded_7d >= 5 and rate > 2 and much is not None and rate >= much,
        "disengaging": week_before and not this_week,
        "at_risk": 7 <= one.days_silent <= 27 and one.unsolved > 0,
        "dormant": one.days_silent >= 28,
    }


def courses(history: History) -> list[Row]:
    learners = grouped(learner_courses(history), lambda row: row["course_key"])
    pairs = grouped(history.pairs, lambda pair: pair.course)
    return [_course_row(history, course, rows, pairs[course]) for course, rows in learners.items()]


def _course_row(history: History, course: str, learners: list[Row], pairs: list[Pair]) -> Row:
    as_of = history.as_of_day
    organisation, name, run = course_parts(course) or (None, None, None)
    return {
        "course_key": course,
        "organisation": organisation,
        "course": name,
        "run": run,
        "learners": len(learners),
        "learners_active_7d": sum(row["last_day"] >= as_of - days(6) for row in learners),
        "learners_active_28d": sum(row["last_day"] >= as_of - days(27) for row in learners),
        "tasks": len({pair.task for pair in pairs}),
        **volumes([a for pair in pairs for a in pair.attempts]),
        "first_submit_success": _first_submit_success(pairs),
        **{f"learners_{flag}": sum(row[flag] for row in learners) for flag in FLAGS},
        "learner_hours_lost_28d": _hours_lost_28d(history, pairs),
        "first_day": min(row["first_day"] for row in learners),
        "last_day": max(row["last_day"] for row in learners),
    }


def course_parts(course_key: str | None) -> CourseParts | None:
    """Organisation, course and run of a key that has them."""
    for form in _COURSE_KEYS:
        if match := form.fullmatch(course_key or ""):
            return match[1], match[2], match[3]
    return None


# --- the same task across runs, path, retention ---


def task_runs(history: History) -> list[Row]:
    in_runs = [(parts, pair) for pair in history.pairs if (parts := course_parts(pair.task[0]))]
    rows = []
    for (organisation, course), of_course in grouped(in_runs, lambda item: item[0][:2]).items():
        runs = _by_run(of_course)
        order = sorted(runs, key=lambda run: (min(pair.first_attempt_at for pair in runs[run]), run))
        for block_id, of_block in grouped(of_course, lambda item: item[1].task[1]).items():
            having = _by_run(of_block)
            if len(having) >= 2:
                name = {"organisation": organisation, "course": course, "block_id": block_id}
                in_order = [(run, having[run]) for run in order if run in having]
                rows += [name | row for row in _runs_of_block(in_order)]
    return rows


def _by_run(items: Iterable[tuple[CourseParts, Pair]]) -> dict[str, list[Pair]]:
    runs = grouped(items, lambda item: item[0][2])
    return {run: [pair for _, pair in own] for run, own in runs.items()}


def _runs_of_block(runs: Sequence[tuple[str, list[Pair]]]) -> list[Row]:
    """A block in its runs, in their order, with what changed since the run before."""
    rows: list[Row] = []
    before: Row = {}
    for run, pairs in runs:
        figures = {
            "success_rate": success(a for pair in pairs for a in pair.attempts),
            "solve_rate": _solve_rate(pairs),
            "first_submit_success": _first_submit_success(pairs),
        }
        changes = {
            f"{name}_change": None if value is None or before.get(name) is None else value - before[name]
            for name, value in figures.items()
        }
        rows.append({"run": run, **figures, **changes})
        before = figures
    return rows


def course_path(history: History) -> list[Row]:
    rows = []
    for course, pairs in grouped(history.pairs, lambda pair: pair.course).items():
        learners = grouped(pairs, lambda pair: pair.user_id)
        left_at = [_left_at(history, own) for own in learners.values()]
        met_as = {pair: 1 + _begun_before(pair, learners[pair.user_id]) for pair in pairs}
        by_task = grouped(pairs, lambda pair: pair.task)
        wide = {task: own for task, own in by_task.items() if len(own) >= 20}
        middle = {task: quantile([met_as[pair] for pair in own], MEDIAN) for task, own in wide.items()}
        for position, task in enumerate(sorted(wide, key=lambda task: (middle[task], history.tie_order(task))), 1):
            rows.append(
                {
                    "course_key": course,
                    "task_id": history.task_id(task),
                    "position": position,
                    "learners_reached": len(wide[task]),
                    "reached_share": Fraction(len(wide[task]), len(learners)),
                    "learners_solved": sum(bool(pair.correct) for pair in wide[task]),
                    "left_here": left_at.count(task),
                }
            )
    return rows


def _begun_before(pair: Pair, own: Iterable[Pair]) -> int:
    return sum(other.first_attempt_at < pair.first_attempt_at for other in own)


def _left_at(history: History, own: Sequence[Pair]) -> Task | None:
    """The task of a learner's last attempt in the course, long ago."""
    last = max(pair.last_attempt_at for pair in own)
    if (history.as_of_day - history.day_of(last)).days < 14:
        return None
    return min((pair.task for pair in own if pair.last_attempt_at == last), key=history.tie_order)


def cohort_retention(history: History) -> list[Row]:
    active_days = {
        user: sorted({history.day(a) for a in attempts})
        for user, attempts in grouped(history.attempts, lambda a: a.user_id).items()
    }
    rows = []
    for week, cohort in grouped(active_days.values(), lambda own: monday(own[0])).items():
        if history.start_of(week) < history.censored_before:
            continue
        for weeks_since in range(26):
            if week + days(7 * weeks_since + 12) > history.as_of_day:
                break
            came = [own for own in cohort if any((day - own[0]).days // 7 == weeks_since for day in own)]
            rows.append(
                {
                    "cohort_week": week,
                    "weeks_since": weeks_since,
                    "learners": len(cohort),
                    "active_learners": len(came),
                }
            )
    return rows


# --- the early warning ---


def warning_scorecard(history: History) -> list[Row]:
    if not history.attempts:
        return []
    newest = monday(history.as_of_day + days(1) - days(14))
    by_course = grouped(enrolments(history), lambda one: one.course)
    rows = []
    for week in (newest - days(7 * back) for back in range(26)):
        counts = {course: _warned(history, week, learners) for course, learners in by_course.items()}
        counts["(all)"] = {name: sum(c[name] for c in counts.values()) for name in next(iter(counts.values()))}
        rows += [_scored(week, course, c) for course, c in counts.items() if c["candidates"]]
    return rows


def _warned(history: History, week: date, learners: Iterable[Enrolment]) -> dict[str, int]:
    candidates = [one for one in learners if _active(one, week - days(28), week)]
    flagged = [
        one
        for one in candidates
        if not _active(one, week - days(7), week)
        and any(pair.status_at(history.start_of(week)) == "unsolved" for pair in one.pairs)
    ]
    return {
        "candidates": len(candidates),
        "flagged": len(flagged),
        "vanished": sum(not _active(one, week, week + days(14)) for one in candidates),
        "flagged_vanished": sum(not _active(one, week, week + days(14)) for one in flagged),
    }


def _active(one: Enrolment, first: date, end: date) -> bool:
    return any(first <= day < end for day in one.days)


def _scored(week: date, course: str, counts: dict[str, int]) -> Row:
    precision = share(counts["flagged_vanished"], counts["flagged"])
    base_rate = share(counts["vanished"], counts["candidates"])
    return {
        "week_start": week,
        "course_key": course,
        **counts,
        "precision": precision,
        "recall": share(counts["flagged_vanished"], counts["vanished"]),
        "base_rate": base_rate,
        "lift": None if precision is None or not base_rate else precision / base_rate,
    }


# --- incidents ---


def task_incidents(history: History) -> list[Row]:
    if not history.attempts:
        return []
    as_of = history.as_of_day
    today = grouped(history.by_day.get(as_of, []), task_of)
    before = grouped(history.between(as_of - days(28), as_of - days(1)), task_of)
    rows = []
    for task, attempts in today.items():
        row = _incident(history, task, attempts, before.get(task, []))
        if row["kind"] is not None:
            rows.append(row)
    return rows


def _incident(history: History, task: Task, today: list[Attempt], before: list[Attempt]) -> Row:
    graded = [a for a in today if is_graded(a)]
    submits = [a for a in today if is_submit(a)]
    baseline = [a for a in before if is_graded(a)]
    rate, usual = success(graded), success(baseline)
    surprise = llr(sum(a.correct for a in graded), len(graded), sum(a.correct for a in baseline), len(baseline))
    failing_now = _solved_before_failing_now(history, task, graded)
    kind = None
    if len(graded) >= 8 and len({a.user_id for a in graded}) >= 5 and len(baseline) >= 50:
        assert rate is not None
        assert usual is not None
        assert surprise is not None
        if surprise >= 8 and rate < usual:
            broken = failing_now >= 2 or _strong_fail(history, task, graded, usual)
            kind = "broken" if broken else "hard"
        elif rate == 1 and len(graded) >= 20 and usual < Fraction(6, 10):
            kind = "passes_everything"
    if kind is None and len(submits) >= 20 and len(submits) - len(graded) >= Fraction(2, 10) * len(submits):
        kind = "mute"
    return {
        **_task_columns(history, task),
        "kind": kind,
        "graded_submits": len(graded),
        "success_rate": rate,
        "baseline_graded_submits": len(baseline),
        "baseline_success_rate": usual,
        "llr": surprise,
        "learners": len({a.user_id for a in submits}),
        "solved_before_failing_now": failing_now,
    }


def llr(correct: int, number: int, baseline_correct: int, baseline: int) -> float | None:
    """How little today's success fits the baseline's."""
    if not number or not baseline:
        return None
    q, p0 = Fraction(correct, number), Fraction(baseline_correct, baseline)
    if p0 == 0:
        p0 = Fraction(1, 2 * baseline)
    elif p0 == 1:
        p0 = 1 - Fraction(1, 2 * baseline)
    return number * (_part(q, p0) + _part(1 - q, 1 - p0))


def _part(q: Fraction, p: Fraction) -> float:
    return float(q) * math.log(q / p) if q else 0.0


def _solved_before_failing_now(history: History, task: Task, graded: Iterable[Attempt]) -> int:
    own = {pair.user_id: pair for pair in history.pairs if pair.task == task}
    return sum(
        any(history.day(a) < history.as_of_day for a in own[user].correct) and not any(a.correct for a in tries)
        for user, tries in grouped(graded, lambda a: a.user_id).items()
    )


def _strong_fail(history: History, task: Task, graded: list[Attempt], usual: Fraction) -> bool:
    strong = strong_learners(history, task, {a.user_id for a in graded})
    tries = [a for a in graded if a.user_id in strong]
    rate = success(tries)
    return len(tries) >= 4 and rate is not None and rate <= usual / 2


def strong_learners(history: History, task: Task, users: set[str]) -> set[str]:
    """Those who before D did better at first on other tasks than half of these learners."""
    others = grouped(
        [
            pair
            for pair in history.pairs
            if pair.user_id in users
            and pair.task != task
            and pair.graded
            and not pair.is_left_censored
            and history.day(pair.graded[0]) < history.as_of_day
        ],
        lambda pair: pair.user_id,
    )
    means = {
        user: Fraction(sum(p.graded[0].correct for p in own), len(own)) for user, own in others.items() if len(own) >= 5
    }
    middle = quantile(means.values(), MEDIAN)
    return {user for user, value in means.items() if value > middle}

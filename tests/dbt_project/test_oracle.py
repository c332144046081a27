"""The oracle itself: figures worked out by hand, and that its school has what the marts tell of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.dbt_project import oracle_activity as activity
from tests.dbt_project import oracle_learning as learning
from tests.dbt_project.compare_analytics import same
from tests.dbt_project.oracle import Answer, Oracle
from tests.dbt_project.oracle_terms import MEDIAN, History, quantile
from tests.dbt_project.school import School

UTC = timezone.utc
NOON = datetime(2024, 5, 20, 12, tzinfo=UTC)
DAY = 86_400
RUN, WRONG, RIGHT, UNGRADED = "run", 0, 1, None


def _history(*attempts: tuple[str, str, float, Any], days_before: int = 30) -> History:
    """What is known from attempts, each told by learner, task, seconds after noon and verdict."""
    records = [
        {
            "lti_user_id": user,
            "passback_params": {"lis_result_sourcedid": f"c:host-{task}:l"},
            "is_correct": None if verdict == RUN else verdict,
            "attempt_type": "run" if verdict == RUN else "submit",
            "created_at": (NOON + timedelta(seconds=seconds)).isoformat(),
        }
        for user, task, seconds, verdict in attempts
    ]
    fetched_at = NOON + timedelta(hours=15)
    oracle = Oracle()
    oracle.load("1", [Answer(fetched_at, records, (NOON - timedelta(days=days_before), fetched_at))])
    assert not oracle.rejected
    return History(oracle, ZoneInfo("UTC"))


def _one(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


def test_a_pair_by_hand() -> None:
    row = _one(
        learning.learner_tasks(
            _history(
                ("a", "t", 0, RUN),
                ("a", "t", 599.999999, UNGRADED),  # a gap that counts in full
                ("a", "t", 1199.999999, WRONG),  # one of exactly 600 s, which counts for nothing
                ("a", "t", 1210, RUN),  # 10.000001 s, lost
                ("a", "t", 1310, RIGHT),  # 100 s, lost
                ("a", "t", 1410, WRONG),  # 100 s, after it was solved
            )
        )
    )
    assert row["active_seconds"] == Fraction("599.999999") + Fraction("10.000001") + 200
    assert row["active_seconds_to_first_correct"] == Fraction("599.999999") + Fraction("110.000001")
    assert row["lost_seconds"] == Fraction("110.000001")
    assert (row["runs_before_first_submit"], row["submits_to_first_correct"], row["status"]) == (1, 2, "solved")
    assert row["attempts_to_first_correct"] == 5
    assert row["first_graded_correct"] is False
    assert row["is_left_censored"] is False


@pytest.mark.parametrize(
    ("attempts", "lost", "first", "submits"),
    [
        pytest.param([(0, WRONG), (0, RIGHT), (60, WRONG)], 0, True, 1, id="correct comes first at an instant"),
        pytest.param([(0, WRONG), (60, WRONG), (700, UNGRADED)], 60, False, None, id="all of it when never solved"),
        pytest.param([(0, UNGRADED), (60, RUN)], 0, None, None, id="no verdict"),
        pytest.param([(0, RUN), (30, WRONG), (60, WRONG), (60, RIGHT)], 30, False, 2, id="up to the instant"),
    ],
)
def test_time_lost(attempts: list[tuple[float, Any]], lost: int, first: bool | None, submits: int | None) -> None:
    row = _one(learning.learner_tasks(_history(*(("a", "t", at, verdict) for at, verdict in attempts))))
    assert (row["lost_seconds"], row["first_graded_correct"]) == (lost, first)
    assert row["submits_to_first_correct"] == submits


def test_left_censored_pairs_count_in_volumes_only() -> None:
    known = [("a", "t", 0.0, RIGHT), ("b", "t", 7.0, WRONG), ("b", "t", 8.0, RIGHT)]
    row = _one(learning.tasks(_history(*known, days_before=7)))
    assert (row["first_submits"], row["learners_solved"], row["solve_rate"]) == (2, 2, 1)
    assert row["success_by_attempt"] == [Fraction(1, 2), 1, None, None, None]
    row = _one(learning.tasks(_history(*known, days_before=6)))
    assert (row["first_submits"], row["learners_solved"], row["success_rate"]) == (0, 2, Fraction(2, 3))
    assert row["first_submit_success"] is row["submits_to_solve_median"] is None


def test_quantiles_take_a_value_that_is_there() -> None:
    assert quantile([4, 1, 3, 2], MEDIAN) == 2
    assert quantile(range(1, 21), Fraction(85, 100)) == 17
    assert quantile([Fraction(1), math.inf, math.inf], Fraction(85, 100)) == math.inf
    assert quantile([], MEDIAN) is None


def test_discrimination_by_hand() -> None:
    half = [(1, Fraction(1))] * 15 + [(0, Fraction(0))] * 15
    assert learning.discrimination(half) == 1.0
    assert learning.discrimination(half[1:]) is None
    assert learning.discrimination([(1, Fraction(number, 30)) for number in range(30)]) is None
    assert learning.discrimination([(number % 2, Fraction(1, 3)) for number in range(30)]) is None
    # Of 16 that are right 8 have a mean of 1, of the 14 others 6: (8·8 - 8·6) / √(16·14·14·16).
    mixed = [(1, Fraction(n < 8)) for n in range(16)] + [(0, Fraction(n < 6)) for n in range(14)]
    assert learning.discrimination(mixed) == pytest.approx(16 / math.sqrt(16 * 14 * 14 * 16))


def test_llr_by_hand() -> None:
    assert learning.llr(0, 10, 40, 50) == pytest.approx(10 * math.log(5))
    assert learning.llr(10, 10, 25, 50) == pytest.approx(10 * math.log(2))
    assert learning.llr(5, 10, 25, 50) == 0
    assert learning.llr(0, 10, 50, 50) == pytest.approx(10 * math.log(100))
    assert learning.llr(0, 10, 0, 50) == pytest.approx(-10 * math.log(0.99))
    assert learning.llr(0, 0, 1, 2) is learning.llr(1, 2, 0, 0) is None


def test_the_scorecard_by_hand() -> None:
    rows = learning.warning_scorecard(
        _history(
            ("gone unsolved", "t", -25 * DAY, WRONG),  # silent in the week before 6 May, and in the two after
            ("stays", "t", -19 * DAY, WRONG),
            ("stays", "t", -12 * DAY, WRONG),
            ("comes back", "t", -25 * DAY, RIGHT),
            ("comes back", "t", -DAY, RUN),
            ("gone solved", "t", -25 * DAY, RIGHT),
        )
    )
    (row,) = [row for row in rows if (row["week_start"], row["course_key"]) == (date(2024, 5, 6), "c")]
    counts = [row[name] for name in ("candidates", "flagged", "vanished", "flagged_vanished")]
    assert counts == [4, 1, 2, 1]
    assert [row[name] for name in ("precision", "recall", "base_rate", "lift")] == [
        1,
        Fraction(1, 2),
        Fraction(1, 2),
        2,
    ]
    assert max(row["week_start"] for row in rows) == date(2024, 5, 6)


def test_the_path_by_hand() -> None:
    steps = [(f"l{n}", task, -14 * DAY + second, RUN) for n in range(20) for task, second in (("b", 0), ("a", 1))]
    path = learning.course_path(_history(*steps, ("at once", "b", -20 * DAY, RUN), ("at once", "a", -20 * DAY, RUN)))
    told = [(row["position"], row["task_id"], row["learners_reached"], row["left_here"]) for row in path]
    # Who was on both at one instant left at the first by name.
    assert told == [(1, repr(("c", "b", None)), 21, 0), (2, repr(("c", "a", None)), 21, 21)]


def test_retention_by_hand() -> None:
    # Wednesday 3 April, six and seven days later.
    days = [("a", "t", -number * DAY, RUN) for number in (47, 41, 40)]
    rows = learning.cohort_retention(_history(*days, days_before=60))
    assert [row["active_learners"] for row in rows] == [1, 1, 0, 0, 0, 0]
    assert {(row["cohort_week"], row["learners"]) for row in rows} == {(date(2024, 4, 1), 1)}
    assert learning.cohort_retention(_history(*days, days_before=55)) == []


def test_keys_of_courses() -> None:
    assert learning.course_parts("course-v1:A+B+C 1") == learning.course_parts("A/B/C 1") == ("A", "B", "C 1")
    for key in ("course-v1:A+B", "course-v1:A++C", "course-v1:A+B+C+D", "A/B/C:D", "A/B", "A/B+1/C", "", None):
        assert learning.course_parts(key) is None


def test_bands_and_verdicts_by_hand() -> None:
    # The median deviation is 1, three spreads of it are 4.4478; 15 % are more.
    assert activity.expectation("attempts", _fractions(38, 40, 40, 42)) == (Fraction(40), Fraction(6))
    assert activity.expectation("attempts", _fractions(40, 40, 40)) is None
    for count, verdict in [
        (0, "suspect"),
        (27, "suspect"),
        (28, "unusual_low"),
        (33, "unusual_low"),
        (34, "normal"),
        (46, "normal"),
        (47, "unusual_high"),
        (52, "unusual_high"),
        (53, "suspect"),
    ]:
        assert activity.verdict("attempts", Fraction(count), Fraction(40), Fraction(6), 0) == verdict
    # Deviations 15, 5, 5, 16 from 25.
    wide = activity.expectation("unique_users", _fractions(10, 20, 30, 41))
    assert wide == (Fraction(25), Fraction("44.478"))
    assert activity.band("unique_users", *wide) == (Fraction(0), Fraction("69.478"))
    assert activity.verdict("attempts", Fraction(0), Fraction(20), Fraction(50), 0) == "suspect"
    assert activity.verdict("attempts", Fraction(0), Fraction(19), Fraction(50), 0) == "normal"


def _fractions(*values: int) -> list[Fraction]:
    return [Fraction(value) for value in values]


def test_rejected_share_needs_no_history_and_is_never_low() -> None:
    half, few = Fraction(1, 2), Fraction(1, 20)
    assert activity.verdict("rejected_share", half, None, None, 100) == "suspect"
    assert activity.verdict("rejected_share", half, None, None, 99) == "no_history"
    assert activity.verdict("rejected_share", Fraction(0), half, few, 10) == "normal"
    assert activity.verdict("rejected_share", Fraction(3, 5), half, few, 10) == "unusual_high"
    assert activity.verdict("rejected_share", Fraction(31, 50), half, few, 10) == "suspect"
    assert activity.band("rejected_share", half, few) == (Fraction(0), Fraction(11, 20))


def test_figures_are_the_same_to_fourteen_digits() -> None:
    assert same(0.1, Fraction(1, 10))
    assert not same(Fraction(1, 10) + Fraction(1, 10**14), Fraction(1, 10))
    assert same([1, None], [1, None])
    assert not same(None, 0)
    assert not same(1, True)


_SCHOOLS = [(0, "Europe/Moscow"), (1, "Asia/Kolkata")]


@pytest.fixture(scope="module", params=_SCHOOLS, ids=str)
def terms(request: pytest.FixtureRequest) -> list[tuple[History, list[dict[str, Any]]]]:
    """A school as each of its builds sees it, with what the build revised."""
    seed, name = request.param
    zone, oracle, seen = ZoneInfo(name), Oracle(), []
    for number, loads in enumerate(School(seed, zone, date(2024, 4, 3)).builds()):
        for answers in loads:
            oracle.load(f"{number} {len(oracle.receipts)}", answers)
        oracle.build(zone)
        revised = activity.day_revisions(oracle.published)
        seen.append((History(oracle, zone), revised[-1] if revised else []))
    return seen


Terms = list[tuple[History, list[dict[str, Any]]]]


def test_effects_add_up_to_the_change_of_the_success_rate(terms: Terms) -> None:
    for history, _ in terms[:3]:
        days = {
            row["activity_date"]: row["value"]
            for row in activity.daily_verdicts(history)
            if row["metric"] == "success_rate"
        }
        change = days[history.as_of_day] - days[history.as_of_day - timedelta(days=7)]
        for dimension in ("course", "task"):
            movers = [row for row in activity.daily_movers(history) if row["dimension"] == dimension]
            assert sum(row["success_effect"] for row in movers) == change


def test_the_school_has_every_kind_of_thing(terms: Terms) -> None:
    histories = [history for history, _ in terms]
    incidents = [row for history in histories for row in learning.task_incidents(history)]
    assert {row["kind"] for row in incidents} == {"broken", "hard", "passes_everything", "mute"}
    # Broken for those who had solved it, and for strong learners alone.
    assert {row["solved_before_failing_now"] >= 2 for row in incidents if row["kind"] == "broken"} == {True, False}
    verdicts = [row for history in histories for row in activity.daily_verdicts(history)]
    kinds = {row["verdict"] for row in verdicts}
    assert kinds == {"suspect", "unusual_low", "unusual_high", "normal", "no_history"}
    assert {"suspect", "unusual_high", "normal", "no_history"} == {
        row["verdict"] for row in verdicts if row["metric"] == "rejected_share"
    }
    learners = [row for history in histories for row in learning.learner_courses(history)]
    assert {flag for row in learners for flag in row["reasons"]} == set(learning.FLAGS)
    pairs = learning.learner_tasks(histories[-1])
    assert {row["status"] for row in pairs} == {"solved", "unsolved", "ungraded", "run_only"}
    assert {row["is_left_censored"] for row in pairs} == {True, False}
    assert all(revised for _, revised in terms[1:])


def test_the_school_reaches_what_needs_many(terms: Terms) -> None:
    history = terms[2][0]
    tasks = learning.tasks(history)
    assert sum(row["discrimination"] is not None for row in tasks) >= 5
    # The task that everybody solved at once has pairs enough, but tells nobody apart.
    (constant,) = [row for row in tasks if row["block_id"] == "e0"]
    assert constant["first_submits"] >= 30
    assert constant["first_submit_success"] == 1
    assert constant["discrimination"] is None
    scores = learning.warning_scorecard(history)
    assert len({row["week_start"] for row in scores}) == 26
    assert {row["lift"] is None for row in scores} == {True, False}
    assert {row["weeks_since"] for row in learning.cohort_retention(history)} == set(range(26))
    runs = learning.task_runs(history)
    assert {row["run"] for row in runs} == {"A", "B", "C"}
    assert {row["success_rate_change"] is None for row in runs} == {True, False}
    assert {row["course_key"] for row in learning.course_path(history)} >= {"course-v1:Uni+DS+A", "(no course)"}
    weeks = activity.weekly_metrics(history)
    assert {row["is_complete"] for row in weeks} == {True, False}

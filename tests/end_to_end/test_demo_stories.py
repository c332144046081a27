"""What is planted in the demo's data is found in the marts, after sixty days and after the day that follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from embedded.demo_api import running, stories
from ingestion.warehouse import Warehouse
from tests.conftest import temporary_database
from tests.end_to_end.clone import Clone, make_clone, rows

# The end of the last full day, in Moscow.
END = datetime(2025, 11, 17, 21, tzinfo=timezone.utc)
LAST_DAY = END.date()
DAY = timedelta(days=1)
IN_DRILLS = f"course_key = '{stories.COURSE_KEY}'"


def load(clone: Clone, start: datetime, end: datetime) -> None:
    """A run over a window that is asked for some hours after its end. A suspect day would be exit code 5."""
    with running(scale=0.3, now=end + timedelta(hours=5)) as api:
        clone.settings |= {"API_URL": api.url, "API_CLIENT": api.client, "API_CLIENT_KEY": api.client_key}
        window = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (start, end))
        done = clone.elt("run", "--start", next(window), "--end", next(window))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("stories") / "a clone")


@pytest.fixture(scope="module")
def sixty_days(clone: Clone, server: Warehouse) -> Iterator[Warehouse]:
    with temporary_database(server) as warehouse:
        clone.use(warehouse)
        load(clone, END - 60 * DAY, END)
        yield warehouse


def test_the_drill_of_the_last_full_day_is_broken(sixty_days: Warehouse) -> None:
    assert rows(sixty_days, "select as_of_day from marts.as_of") == [(LAST_DAY,)]
    incidents = f"select block_id from marts.task_incidents where kind = 'broken' and {IN_DRILLS}"
    assert rows(sixty_days, incidents) == [(stories.broken_drill(LAST_DAY.toordinal()),)]
    enough = "llr >= 8 and success_rate < baseline_success_rate / 2 and solved_before_failing_now >= 2"
    assert rows(sixty_days, f"select {enough} from marts.task_incidents where kind = 'broken' and {IN_DRILLS}") == [
        (True,)
    ]


def test_the_wall_is_the_task_to_repair_first(sixty_days: Warehouse) -> None:
    first = "select block_id, success_rate < 0.05, solve_rate < 0.3 from marts.tasks where repair_rank = 1"
    assert rows(sixty_days, first) == [(stories.WALL, True, True)]


def test_the_riddle_takes_many_submits_and_is_solved(sixty_days: Warehouse) -> None:
    columns = "submits_to_solve_median, solve_rate = 1, success_by_attempt[1] = 0"
    task = f"{IN_DRILLS} and block_id = '{stories.RIDDLE}'"
    assert rows(sixty_days, f"select {columns} from marts.tasks where {task}") == [(10, True, True)]


def test_learners_are_stuck_and_others_have_vanished(sixty_days: Warehouse) -> None:
    learners = f"select count(*) from learners.learner_courses where {IN_DRILLS}"
    assert rows(sixty_days, f"{learners} and stuck")[0][0] >= 8
    assert rows(sixty_days, f"{learners} and stuck and days_silent < 3")[0][0] >= 3
    assert rows(sixty_days, f"{learners} and at_risk")[0][0] >= 5


@pytest.mark.parametrize("course_key", [stories.COURSE_KEY, "(all)"])
def test_the_early_warning_is_better_than_chance(sixty_days: Warehouse, course_key: str) -> None:
    newest = "select lift > 1 from marts.warning_scorecard where course_key = %s order by week_start desc limit 1"
    assert rows(sixty_days, newest, course_key) == [(True,)]


def test_runs_import_the_tasks_of_earlier_ones(sixty_days: Warehouse) -> None:
    imported = "select count(distinct block_id) from marts.task_runs where success_rate_change is not null"
    assert rows(sixty_days, f"{imported} and organisation = 'DemoAcademy' and course = 'PYB-2.0'")[0][0] >= 20


def test_the_figures_of_a_fixed_date_never_change(sixty_days: Warehouse) -> None:
    """Literal figures: whoever changes a definition, a parser or the demo sees it here."""
    day = """
        select attempts, runs, submits, correct_submits, round(success_rate, 6)::text, unique_users,
            users_without_correct, round(avg_attempts_to_first_correct, 6)::text, new_users, unique_users_7d,
            unique_users_30d
        from marts.daily_metrics where activity_date = %s
    """
    assert rows(sixty_days, day, LAST_DAY) == [(986, 454, 532, 284, "0.534840", 176, 28, "2.948000", 29, 596, 1191)]
    assert rows(sixty_days, day, LAST_DAY - 30 * DAY) == [
        (678, 287, 391, 225, "0.575448", 115, 14, "2.755208", 6, 623, 1252)
    ]
    drills = """
        select learners, attempts, graded_submits, correct_submits, learners_stuck, learners_at_risk,
            learners_dormant, round(learner_hours_lost_28d, 6)::text, round(first_submit_success, 6)::text
        from marts.courses where course_key = %s
    """
    assert rows(sixty_days, drills, stories.COURSE_KEY) == [(83, 5227, 5107, 2280, 12, 16, 32, "23.522319", "0.587601")]
    verdicts = "select metric, round(value, 6)::text, round(expected, 6)::text, verdict from marts.daily_verdicts"
    assert rows(sixty_days, f"{verdicts} where activity_date = %s order by metric", LAST_DAY) == [
        ("attempts", "986.000000", "913.000000", "normal"),
        ("rejected_share", None, None, "no_history"),
        ("success_rate", "0.534840", "0.568953", "normal"),
        ("unique_users", "176.000000", "173.000000", "normal"),
    ]


def test_no_figure_of_the_last_full_day_is_suspect(sixty_days: Warehouse) -> None:
    verdicts = "select verdict from marts.daily_verdicts where activity_date = %s and metric <> 'rejected_share'"
    found = [verdict for (verdict,) in rows(sixty_days, verdicts, LAST_DAY)]
    assert len(found) == 3
    assert not {"suspect", "no_history"} & set(found)


def test_the_next_days_run_revises_the_closed_day(clone: Clone, sixty_days: Warehouse) -> None:
    assert rows(sixty_days, "select count(*) from marts.day_revisions") == [(0,)]
    load(clone, END - DAY, END + DAY)
    revised = "select metric, new_value > old_value from marts.day_revisions where activity_date = %s"
    found = dict(rows(sixty_days, revised, LAST_DAY))
    assert found["attempts"] is True
    assert found["submits"] is True
    assert rows(sixty_days, "select min(activity_date) from marts.day_revisions") == [(LAST_DAY,)]

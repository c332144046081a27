"""The questions that analysts ask by hand, on a long history: how long each takes, and by which plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from ingestion.warehouse import Warehouse
from tests.bench.place import Place
from tests.bench.report import Goal, Section, table
from tests.bench.sizes import ROUNDS

_AT_MOST = 1.0
# The attempts that the goal is meant for.
_LARGE = 20_000_000
_CHOSEN = """
    select
        (select course_key from marts.courses order by attempts desc limit 1) as course,
        (select task_id from marts.tasks order by attempts desc limit 1) as task,
        (select user_id from learners.learner_courses order by attempts desc limit 1) as learner,
        (select as_of_day - 200 from marts.as_of) as day
"""
QUERIES = {
    "a course by day, all its history": """
        select activity_date, attempts, unique_users, success_rate
        from marts.course_daily_metrics where course_key = '{course}' order by activity_date
    """,
    "the tasks of a course, worst first": """
        select block_id, learners, solve_rate, learner_hours_lost_28d
        from marts.tasks where course_key = '{course}' order by repair_rank nulls last
    """,
    "how the learners of a task stand": """
        select status, count(*), avg(submits_to_first_correct) from marts.learner_tasks
        where task_id = '{task}' group by status
    """,
    "a task's attempts in a week, by day and type": """
        select activity_date, attempt_type, count(*), count(*) filter (where is_correct) from marts.attempts
        where task_id = '{task}' and activity_date between '{day}' and date '{day}' + 6
        group by activity_date, attempt_type
    """,
    "a learner's history, attempt by attempt": """
        select created_at, course_key, block_id, attempt_type, is_correct from marts.attempts
        where user_id = '{learner}' order by created_at
    """,
    "a learner's tasks": """
        select task_id, status, submits, active_seconds from marts.learner_tasks where user_id = '{learner}'
    """,
    "any week, by course": """
        select course_key, count(*), count(distinct user_id),
            avg(is_correct::int) filter (where attempt_type = 'submit')
        from marts.attempts where activity_date between '{day}' and date '{day}' + 6 and not is_excluded
        group by course_key
    """,
    "learners by what they need, of a course": """
        select count(*) filter (where stuck), count(*) filter (where at_risk), count(*)
        from learners.learner_courses where course_key = '{course}'
    """,
}


def questions(place: Place, warehouse: Warehouse, attempts: int, say: Callable[[str], None]) -> Section:
    """Measure each query once as it comes and then with what it reads in memory; the plan is that of the last."""
    names = ("course", "task", "learner", "day")
    chosen = dict(zip(names, place.execute(warehouse, _CHOSEN)[0], strict=True))
    rows, plans, slowest = [], [], 0.0
    for title, query in QUERIES.items():
        explained = f"explain (analyze, format json) {query.format(**chosen)}"
        found = [_explained(place, warehouse, explained) for _ in range(ROUNDS + 1)]
        seconds = median(plan["Execution Time"] / 1_000 for plan in found[1:])
        slowest = max(slowest, seconds)
        rows.append([title, f"{found[0]['Execution Time'] / 1_000:.3f}", f"{seconds:.3f}"])
        plans.append([title, "; ".join(_steps(found[-1]["Plan"]))])
        say(f"query: {title} {seconds:.3f} s")
    text = f"On {attempts:,} attempts, of the largest course, task and learner, and a week 200 days back."
    return Section(
        "What analysts ask by hand",
        [text, table(["question", "first, seconds", "then, seconds"], rows), table(["question", "plan"], plans)],
        [
            Goal(
                f"queries by hand on {attempts:,} attempts",
                "≤ 1 s each",
                f"the slowest takes {slowest:.2f} s",
                slowest <= _AT_MOST,
                attempts >= _LARGE,
            )
        ],
    )


def _explained(place: Place, warehouse: Warehouse, statement: str) -> dict[str, Any]:
    [(found,)] = place.execute(warehouse, statement)
    plan: dict[str, Any] = found[0]
    return plan


def _steps(plan: dict[str, Any]) -> Iterator[str]:
    """The nodes of a plan that read a table, each with what it reads and by which condition."""
    if name := plan.get("Relation Name") or plan.get("Index Name"):
        condition = plan.get("Index Cond") or plan.get("Recheck Cond") or plan.get("Filter") or ""
        by = f" by {plan['Index Name']}" if plan.get("Index Name") and plan.get("Relation Name") else ""
        yield f"{plan['Node Type']} on {name}{by} {condition}".replace("|", "\\|").strip()
    for part in plan.get("Plans", []):
        yield from _steps(part)

"""What is read of a query before it is sent to a cluster."""

from __future__ import annotations

import pytest

from tests.dbt_project.shards import problems

SHARDS = {"m.a": "user_id", "m.b": "user_id"}


@pytest.mark.parametrize(
    "query",
    [
        "select * from m.a join m.b on a.user_id = b.user_id and a.task = b.task",
        "select * from m.a where (user_id, task) in (select user_id, task from m.b)",
        "select * from m.a where exists (select 1 from m.b where b.user_id = a.user_id)",
        "select lag(day) over (partition by user_id order by day) from m.a",
        "select distinct on (user_id, task) * from m.a order by user_id, task",
        "with x as (select user_id as u from m.a group by user_id) select * from x join m.b on x.u = b.user_id",
        # what is gathered or counted is on the coordinator
        "with x as materialized (select * from m.a) select * from x join m.b on x.task = b.task",
        "with x as (select task, count(*) from m.a group by task) select * from x join m.b on x.task = b.task",
        "select * from m.a join m.c on a.course = c.course",
    ],
)
def test_a_query_within_the_shards(query: str) -> None:
    assert problems(query, SHARDS) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("select * from m.a join m.b on a.task = b.task", "a join without the key"),
        ("with x as (select * from m.a) select * from x join m.b on x.task = b.task", "a join without the key"),
        ("select * from m.a where exists (select 1 from m.b where b.task = a.task)", "exists without the key"),
        ("select lag(day) over (order by day) from m.a", "a window without the key"),
        ("select lag(day) over w from m.a window w as (partition by task)", "a window without the key"),
        ("select distinct on (task) * from m.a order by task", "distinct on other columns"),
        ("with x as (select * from m.a limit all) select * from x", "a limit"),
    ],
)
def test_a_query_that_gathers_whole_tables(query: str, problem: str) -> None:
    assert any(problem in found for found in problems(query, SHARDS))

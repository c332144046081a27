"""What is measured, and how: each measure takes a place and gives rows of a table."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from statistics import median

from bench import peers
from bench.place import Cost, Place

ROUNDS = 3
_RELATIONS = """
    select c.oid::regclass::text, c.relkind, coalesce(pg_get_indexdef(c.oid), ''), pg_relation_size(c.oid)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('raw', 'staging', 'marts') and c.relkind in ('r', 'i') and pg_relation_size(c.oid) > 100000
    order by 4 desc
"""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: records a day, days of the bulk measures, of backfills, and of history."""

    per_day: int
    bulk_days: int
    backfills: tuple[int, ...]
    history_days: tuple[int, ...]


SMALL = Sizes(2_000, 50, (1, 10, 50), (5, 50))
FULL = Sizes(10_000, 100, (1, 10, 100), (5, 50, 500, 2_000))


@dataclass(frozen=True)
class Row:
    """One line of a table; `ratio` compares with the table's first row."""

    what: str
    cost: Cost
    ratio: float


def middle(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        median(cost.seconds for cost in costs),
        median(cost.processor for cost in costs),
        median(cost.peak_mb for cost in costs),
    )


def bulk(place: Place, sizes: Sizes) -> list[Row]:
    """The product's ingestion and whole job beside their peers, in turns."""
    days = range(sizes.bulk_days)
    place.prepare(days)
    names = ("ingest", "copy", "insert", "dlt", "whole", "duckdb")
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            warehouse = place.fresh(f"bulk_{name}")
            costs[name].append(place.run(name, warehouse, days))
            peers.drop(warehouse)
    return _rows({name: middle(found) for name, found in costs.items()})


def backfills(place: Place, sizes: Sizes) -> list[Row]:
    """Ingestion of more and more days."""
    place.prepare(range(max(sizes.backfills)))
    costs: dict[int, list[Cost]] = {days: [] for days in sizes.backfills}
    for _ in range(ROUNDS):
        for days in sizes.backfills:
            costs[days].append(place.run("ingest", place.fresh("backfill"), range(days)))
    return _rows({f"backfill of {days} days": middle(found) for days, found in costs.items()})


def daily(place: Place, sizes: Sizes) -> list[Row]:
    """One new day, then nothing new, then a month's metrics, on histories of several lengths; full refreshes of them."""
    place.prepare(range(max(sizes.history_days) + ROUNDS))
    costs: dict[str, list[Cost]] = {}
    for days in sizes.history_days:
        warehouse = place.fresh(f"history_{days}")
        place.run("ingest", warehouse, range(days))
        costs[f"full refresh of {days} days"] = [place.run("refresh", warehouse, range(days))]
    for turn in range(ROUNDS):
        for days in sizes.history_days:
            warehouse = place.database(f"history_{days}")
            new_day = range(days + turn, days + turn + 1)
            for what, task in (
                ("one more day", "whole"),
                ("nothing new", "build"),
                ("a day's metrics", "metrics"),
            ):
                costs.setdefault(f"{what} on {days} days", []).append(place.run(task, warehouse, new_day))
    return _rows({what: middle(found) for what, found in costs.items()})


def disk(place: Place, sizes: Sizes) -> list[tuple[str, str, float]]:
    """Relation, what it is, bytes for each attempt; of the longest history."""
    days = max(sizes.history_days)
    with closing(place.database(f"history_{days}").connect()) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from marts.attempts")
        attempts = cursor.fetchall()[0][0]
        cursor.execute(_RELATIONS)
        return [
            (name, definition.partition(" USING ")[2] if kind == "i" else "table", size / attempts)
            for name, kind, definition, size in cursor.fetchall()
        ]


def _rows(costs: dict[str, Cost]) -> list[Row]:
    first = next(iter(costs.values())).seconds
    return [Row(what, cost, cost.seconds / first) for what, cost in costs.items()]

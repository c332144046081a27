"""What runs cost as history grows: full refreshes, ordinary days, late records, nothing new, disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ingestion.warehouse import Warehouse
from tests.bench.place import Place
from tests.bench.processes import Cost, middle
from tests.bench.queries import questions
from tests.bench.report import COST_HEAD, Goal, Section, cells, table
from tests.bench.sizes import LATE, NEW_DAYS, ROUNDS, Sizes

_FLAT, _LINEAR, _REFRESH_RATE = 1.4, 1.2, 25_000
_LATE_AT_MOST = 2.5
# The attempts that the goals are meant for.
_LARGE_REFRESH, _LATE_HISTORY, _LARGE_HISTORY = 5_000_000, 5_000_000, 20_000_000
_DISK = """
    select
        n.nspname || '.' || coalesce(t.relname, c.relname),
        coalesce(substring(pg_get_indexdef(i.indexrelid) from 'USING (\\w+ \\([^)]*\\))'), ''),
        case when i.indexrelid is null then pg_table_size(c.oid) else pg_relation_size(c.oid) end
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_index i on i.indexrelid = c.oid
    left join pg_catalog.pg_class t on t.oid = i.indrelid
    where n.nspname in ('raw', 'staging', 'marts', 'learners') and c.relkind in ('r', 'i', 'm')
    order by 1, 2
"""


@dataclass
class Growth:
    """Costs by number of attempts in the history."""

    first_build: dict[int, Cost] = field(default_factory=dict)
    refresh: dict[int, list[Cost]] = field(default_factory=dict)
    ordinary: dict[int, list[Cost]] = field(default_factory=dict)
    late: dict[int, list[Cost]] = field(default_factory=dict)
    nothing: dict[int, list[Cost]] = field(default_factory=dict)


def growth(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Iterator[Section]:
    """Make the histories, then measure them in turns; sections come as soon as they are done."""
    costs = Growth()
    warehouses = {days: _history(place, days, costs, sizes, say) for days in sizes.refreshes}
    for turn in range(ROUNDS):
        for days, warehouse in warehouses.items():
            cost = place.command(warehouse, "build", None, "--full-refresh")
            costs.refresh.setdefault(days * sizes.per_day, []).append(cost)
            say(f"full refresh, round {turn + 1}: {days * sizes.per_day:,} {cost.seconds:.1f} s")
    for days, warehouse in warehouses.items():
        if days in sizes.histories:
            place.execute(warehouse, "vacuum (analyze)")
        else:
            place.drop(warehouse.dbname)
    kept = {
        days * sizes.per_day: warehouses.get(days) or _history(place, days, costs, sizes, say)
        for days in sizes.histories
    }
    yield _refreshes(costs)
    yield _disk(place, kept[max(kept)])
    _days(place, kept, costs, sizes, say)
    for turn in range(ROUNDS):
        for attempts, warehouse in kept.items():
            cost = place.command(warehouse, "run")
            costs.nothing.setdefault(attempts, []).append(cost)
            say(f"nothing new, round {turn + 1}: {attempts:,} {cost.processor:.1f} s of processor")
    yield _daily(costs, sizes)
    yield questions(place, kept[max(kept)], max(kept), say)


def _history(place: Place, days: int, costs: Growth, sizes: Sizes, say: Callable[[str], None]) -> Warehouse:
    attempts = days * sizes.per_day
    warehouse = place.fresh(f"history_{days}")
    place.grow(warehouse, range(-NEW_DAYS - days, -NEW_DAYS))
    say(f"history of {attempts:,} ingested")
    costs.first_build[attempts] = place.command(warehouse, "build")
    place.execute(warehouse, "vacuum (analyze)")
    say(f"history of {attempts:,} built in {costs.first_build[attempts].seconds:.1f} s")
    return warehouse


def _days(
    place: Place,
    warehouses: Mapping[int, Warehouse],
    costs: Growth,
    sizes: Sizes,
    say: Callable[[str], None],
) -> None:
    """Ordinary days and days with late records, in turns; the day before is fetched as well, as in any run."""
    place.prepare(range(-NEW_DAYS - 1, 0))
    for turn in range(ROUNDS):
        day = -NEW_DAYS + 2 * turn
        for attempts, warehouse in warehouses.items():
            place.prepare_late(warehouse.dbname, day + 1, LATE, attempts // sizes.per_day)
            for found, new_day in ((costs.ordinary, day), (costs.late, day + 1)):
                cost = place.command(warehouse, "run", range(new_day - 1, new_day + 1))
                found.setdefault(attempts, []).append(cost)
                say(f"one more day, round {turn + 1}: {attempts:,} {cost.seconds:.1f} s")


def _refreshes(costs: Growth) -> Section:
    found = {attempts: middle(list_) for attempts, list_ in costs.refresh.items()}
    rows = [
        [f"{name} of {attempts:,}", *cells(cost), f"{attempts / cost.seconds:,.0f}", times]
        for name, times, group in (
            ("full refresh", str(ROUNDS), found),
            ("first build", "1", costs.first_build),
        )
        for attempts, cost in sorted(group.items())
    ]
    least, most = min(found), max(found)
    grown = found[most].seconds / found[least].seconds
    return Section(
        "Full refresh",
        [
            "`make build FULL_REFRESH=1`, tests included; and the first build of each history, which does the same.",
            table(["what", *COST_HEAD, "records/s", "times measured"], rows),
        ],
        [
            Goal(
                f"full refresh, {least:,} → {most:,}",
                "grows linearly",
                f"{most / least:.3g} × the records, {grown:.3g} × the time",
                grown <= _LINEAR * most / least,
                most >= _LARGE_REFRESH,
            ),
            Goal(
                f"full refresh of {most:,}",
                f"≥ {_REFRESH_RATE:,} records/s",
                f"{most / found[most].seconds:,.0f} records/s",
                most / found[most].seconds >= _REFRESH_RATE,
                most >= _LARGE_REFRESH,
            ),
        ],
    )


def _daily(costs: Growth, sizes: Sizes) -> Section:
    ordinary, late, nothing = (
        {attempts: middle(list_) for attempts, list_ in group.items()}
        for group in (costs.ordinary, costs.late, costs.nothing)
    )
    least, most = min(ordinary), max(ordinary)
    rows = [
        [name, f"{attempts:,}", *cells(cost), f"{cost.seconds / found[least].seconds:.2f}"]
        for name, found in (
            ("an ordinary day", ordinary),
            (f"a day with {LATE} late records", late),
            ("nothing new", nothing),
        )
        for attempts, cost in found.items()
    ]
    judged = max((attempts for attempts in late if attempts <= _LATE_HISTORY), default=least)
    time, work = _ratios(ordinary[most], ordinary[least])
    late_time, late_work = _ratios(late[judged], ordinary[judged])
    text = (
        f"`make run` for one new day of {sizes.per_day:,} records, with the look-back of a day: as many again are "
        f"fetched and known already. A day with late records brings {LATE} more, each of a different old day as far as "
        "the history has so many. `nothing new` is `make run` once more, with the look-back alone. Ratio: time over "
        "that on the shortest history. Before all this the histories were vacuumed."
    )
    return Section(
        "A daily run as history grows",
        [text, table(["what", "attempts before", *COST_HEAD, "ratio"], rows)],
        [
            Goal(
                f"a daily run, {least:,} → {most:,} attempts",
                f"≤ {_FLAT} × the time",
                f"{time:.2f} × ({work:.2f} × the processor time)",
                time <= _FLAT,
                most >= _LARGE_HISTORY,
            ),
            Goal(
                f"{LATE} late records on {judged:,} attempts",
                f"≤ {_LATE_AT_MOST} × an ordinary day",
                f"{late_time:.2f} × ({late_work:.2f} × the processor time)",
                late_time <= _LATE_AT_MOST,
                judged >= _LATE_HISTORY,
            ),
            Goal(
                f"nothing new on {most:,} attempts",
                "≤ 5 s of Python's processor time",
                f"{nothing[most].processor:.2f} s",
                nothing[most].processor <= 5,
            ),
        ],
    )


def _ratios(cost: Cost, base: Cost) -> tuple[float, float]:
    return cost.seconds / base.seconds, cost.work / base.work


def _disk(place: Place, warehouse: Warehouse) -> Section:
    """Bytes for each attempt of a warehouse."""
    attempts = place.execute(warehouse, "select count(*) from marts.attempts")[0][0]
    found = place.execute(warehouse, _DISK)
    total = sum(size for *_, size in found)
    rows = [
        [name, index, f"{size / attempts:.1f}", f"{100 * size / total:.0f} %"]
        for name, index, size in found
        if size * 1_000 >= total
    ]
    text = f"{attempts:,} attempts after a full refresh, TOAST included. What is under 0.1 % is left out."
    head = ["table", "index", "bytes", "share"]
    return Section(
        "Disk: bytes for each attempt",
        [text, table(head, [*rows, ["all", "", f"{total / attempts:.1f}", "100 %"]])],
    )

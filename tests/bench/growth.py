"""What runs cost as history grows: full refreshes, ordinary days, late records, nothing new, and the metrics of periods."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from ingestion.warehouse import Warehouse
from tests.bench.disk import bytes_of, disk
from tests.bench.place import Place
from tests.bench.processes import Cost, middle
from tests.bench.report import COST_HEAD, Goal, Section, cells, plot, table
from tests.bench.sizes import LATE, NEW_DAYS, ROUNDS, Sizes

_IMPORT = re.compile(r"^import time: +\d+ \| +\d+ \| (\S+)$", re.MULTILINE)
_FLAT = 1.2
# The attempts that the goals are meant for.
_LARGE_REFRESH, _LATE_HISTORY, _LARGE_HISTORY = 5_000_000, 5_000_000, 20_000_000


@dataclass
class Growth:
    """Costs by number of attempts in the history."""

    first_build: dict[int, Cost] = field(default_factory=dict)
    refresh: dict[int, list[Cost]] = field(default_factory=dict)
    ordinary: dict[int, list[Cost]] = field(default_factory=dict)
    late: dict[int, list[Cost]] = field(default_factory=dict)
    nothing: dict[int, list[Cost]] = field(default_factory=dict)


def growth(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Iterable[Section]:
    """Make the histories, then measure them in turns; sections come as soon as they are done."""
    costs = Growth()
    warehouses = {days: _history(place, days, costs, sizes, say) for days in sizes.refreshes}
    for turn in range(ROUNDS):
        for days, warehouse in warehouses.items():
            outcome = place.command(warehouse, "build", None, "--full-refresh")
            costs.refresh.setdefault(days * sizes.per_day, []).append(outcome.cost)
            say(f"full refresh, round {turn + 1}: {days * sizes.per_day:,} {outcome.cost.seconds:.1f} s")
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
    yield disk(place, kept[max(kept)])
    _days(place, kept, costs, sizes, say)
    for turn in range(ROUNDS):
        for attempts, warehouse in kept.items():
            outcome = place.command(warehouse, "run")
            costs.nothing.setdefault(attempts, []).append(outcome.cost)
            say(f"nothing new, round {turn + 1}: {attempts:,} {outcome.cost.processor:.1f} s of processor")
    yield _daily(costs, sizes)
    yield _nothing(costs, _imports(place, kept[min(kept)], say))
    yield _periods(place, kept, sizes, say)


def _history(place: Place, days: int, costs: Growth, sizes: Sizes, say: Callable[[str], None]) -> Warehouse:
    attempts = days * sizes.per_day
    warehouse = place.fresh(f"history_{days}")
    place.grow(warehouse, range(-NEW_DAYS - days, -NEW_DAYS))
    say(f"history of {attempts:,} ingested")
    costs.first_build[attempts] = place.command(warehouse, "build").cost
    place.execute(warehouse, "vacuum (analyze)")
    # Whatever nobody has explained should stop the benchmark now, not after hours.
    bytes_of(place, warehouse)
    say(f"history of {attempts:,} built in {costs.first_build[attempts].seconds:.1f} s")
    return warehouse


def _days(
    place: Place,
    warehouses: Mapping[int, Warehouse],
    costs: Growth,
    sizes: Sizes,
    say: Callable[[str], None],
) -> None:
    """Ordinary days and days with late records, in turns; the day before is asked for as well, as in any run."""
    place.prepare(range(-NEW_DAYS - 1, 0))
    for turn in range(ROUNDS):
        day = -NEW_DAYS + 2 * turn
        for attempts, warehouse in warehouses.items():
            place.prepare_late(warehouse.dbname, day + 1, LATE, attempts // sizes.per_day)
            for found, new_day in ((costs.ordinary, day), (costs.late, day + 1)):
                outcome = place.command(warehouse, "run", range(new_day - 1, new_day + 1))
                found.setdefault(attempts, []).append(outcome.cost)
                say(f"one more day, round {turn + 1}: {attempts:,} {outcome.cost.seconds:.1f} s")


def _refreshes(costs: Growth) -> Section:
    found = {attempts: middle(list_) for attempts, list_ in costs.refresh.items()}
    rows = [
        [f"{attempts:,}", *cells(cost), f"{attempts / cost.seconds:,.0f}", f"{ROUNDS}"]
        for attempts, cost in found.items()
    ]
    rows += [
        [f"{attempts:,} (the first build)", *cells(cost), f"{attempts / cost.seconds:,.0f}", "1"]
        for attempts, cost in sorted(costs.first_build.items())
    ]
    least, most = min(found), max(found)
    rate = most / found[most].seconds
    grown = found[most].seconds / found[least].seconds
    told = f"{rate:,.0f} records/s"
    if most > least:
        beyond = (most - least) / (found[most].seconds - found[least].seconds)
        told += f" ({beyond:,.0f} beyond the first {least:,})"
    goals = [
        Goal(
            f"full refresh of {most:,}",
            "≥ 100,000 records/s",
            told,
            rate >= 100_000,
            most >= _LARGE_REFRESH,
        )
    ]
    if most > least:
        goals.append(
            Goal(
                f"full refresh, {least:,} → {most:,}",
                "grows linearly",
                f"{most / least:.3g} × the records, {grown:.3g} × the time",
                grown <= _FLAT * most / least,
                most >= _LARGE_REFRESH,
            )
        )
    points = {**{attempts: cost.seconds for attempts, cost in costs.first_build.items()}}
    points.update({attempts: cost.seconds for attempts, cost in found.items()})
    return Section(
        "Full refresh",
        [
            "`make build FULL_REFRESH=1`, tests included; the first build of each history, which does the same, once.",
            table(["raw records", *COST_HEAD, "records/s", "times measured"], rows),
            plot({"full refresh": points}, "raw records", "seconds"),
        ],
        goals,
    )


def _daily(costs: Growth, sizes: Sizes) -> Section:
    ordinary = {attempts: middle(list_) for attempts, list_ in costs.ordinary.items()}
    late = {attempts: middle(list_) for attempts, list_ in costs.late.items()}
    nothing = {attempts: middle(list_) for attempts, list_ in costs.nothing.items()}
    least, most = min(ordinary), max(ordinary)
    rows = []
    for name, found in (
        ("an ordinary day", ordinary),
        ("a day with late records", late),
        ("nothing new", nothing),
    ):
        rows += [
            [name, f"{attempts:,}", *cells(cost), f"{cost.seconds / found[least].seconds:.2f}"]
            for attempts, cost in found.items()
        ]
    ratio = ordinary[most].seconds / ordinary[least].seconds
    work = ordinary[most].work / ordinary[least].work
    judged = max((attempts for attempts in late if attempts <= _LATE_HISTORY), default=least)
    late_ratio = late[judged].seconds / ordinary[judged].seconds
    late_work = late[judged].work / ordinary[judged].work
    goals = [
        Goal(
            f"a daily run, {least:,} → {most:,} attempts",
            f"≤ {_FLAT} × the time",
            f"{ratio:.2f} × ({work:.2f} × the processor time)",
            ratio <= _FLAT,
            most >= _LARGE_HISTORY,
        ),
        Goal(
            f"{LATE} late records on {judged:,} attempts",
            "≤ 1.5 × an ordinary day",
            f"{late_ratio:.2f} × ({late_work:.2f} × the processor time)",
            late_ratio <= 1.5,
            judged >= _LATE_HISTORY,
        ),
    ]
    text = (
        f"`make run` for one new day of {sizes.per_day:,} records, with the look-back of a day: as many again are fetched "
        f"and known already. A day with late records brings {LATE} more, each of a different old day as far as the history "
        "has so many. `nothing new` is `make run` once more, with the look-back alone. Ratio: time over that on the "
        "shortest history. Before all this the histories were vacuumed."
    )
    series = {"ordinary day": ordinary, "late records": late, "nothing new": nothing}
    return Section(
        "A daily run as history grows",
        [
            text,
            table(["what", "attempts before", *COST_HEAD, "ratio"], rows),
            plot(
                {name: {at: cost.seconds for at, cost in found.items()} for name, found in series.items()},
                "attempts before",
                "seconds",
            ),
        ],
        goals,
    )


def _imports(place: Place, warehouse: Warehouse, say: Callable[[str], None]) -> float:
    """Processor seconds of importing what a run imports: the modules are taken from one run, then imported alone."""
    told = place.command(warehouse, "run", None, profile_imports=True).errors
    # A name without further indentation was imported by no other module.
    modules = _IMPORT.findall(told)
    seconds = []
    for _ in range(ROUNDS):
        seconds.append(float(json.loads(place.imports(warehouse, modules).output)["seconds"]))
        say(f"imports: {seconds[-1]:.1f} s of processor")
    return median(seconds)


def _nothing(costs: Growth, imports: float) -> Section:
    found = {attempts: middle(list_) for attempts, list_ in costs.nothing.items()}
    most = max(found)
    processor = found[most].processor
    text = (
        f"`make run` again: of its {processor:.2f} s of processor time, start-up and deliveries included, {imports:.2f} s "
        f"({100 * imports / processor:.0f} %) are what importing the same modules takes alone. PostgreSQL's own time is "
        "not in it."
    )
    return Section(
        "Nothing new",
        [text, table(["attempts", *COST_HEAD], [[f"{at:,}", *cells(cost)] for at, cost in found.items()])],
        [
            Goal(
                f"nothing new on {most:,} attempts",
                "≤ 5 s of processor time",
                f"{processor:.2f} s",
                processor <= 5,
            ),
            Goal(
                "nothing new: imports",
                "the most of it",
                f"{100 * imports / processor:.0f} %",
                imports >= processor / 2,
            ),
        ],
    )


def _periods(
    place: Place, warehouses: Mapping[int, Warehouse], sizes: Sizes, say: Callable[[str], None]
) -> Section:
    """The metrics of the last days of each history that is at least as long."""
    times: dict[tuple[int, int], list[float]] = {}
    pages: dict[tuple[int, int], int] = {}
    commands: dict[tuple[int, int], list[Cost]] = {}
    for turn in range(ROUNDS):
        for attempts, warehouse in warehouses.items():
            for window in sizes.windows:
                if window * sizes.per_day > attempts:
                    continue
                outcome = place.task(warehouse, "period", range(-window, 0))
                told = json.loads(outcome.output)
                times.setdefault((window, attempts), []).append(told["milliseconds"])
                commands.setdefault((window, attempts), []).append(outcome.cost)
                pages[window, attempts] = told["pages"]
                say(f"{window} days' metrics, round {turn + 1}: {attempts:,} {told['milliseconds']:.0f} ms")
    found = {key: median(list_) for key, list_ in sorted(times.items())}
    rows = []
    goals = []
    for window in sizes.windows:
        of_window = {attempts: ms for (days, attempts), ms in found.items() if days == window}
        if not of_window:
            continue
        least, most = min(of_window), max(of_window)
        rows += [
            [
                str(window),
                f"{attempts:,}",
                f"{ms:.1f}",
                f"{pages[window, attempts]:,}",
                f"{middle(commands[window, attempts]).seconds:.2f}",
                f"{ms / of_window[least]:.2f}",
            ]
            for attempts, ms in of_window.items()
        ]
        if most > least:
            ratio = of_window[most] / of_window[least]
            goals.append(
                Goal(
                    f"metrics of {window} days, {least:,} → {most:,} attempts",
                    "follows the window (≤ 1.5 ×)",
                    f"{ratio:.2f} × for {most / least:.0f} × the history",
                    ratio <= 1.5,
                    most >= _LARGE_HISTORY,
                )
            )
    series = {
        f"{window} days": {attempts: ms for (days, attempts), ms in found.items() if days == window}
        for window in sizes.windows
    }
    return Section(
        "Metrics of a period",
        [
            "The query behind `make metrics` over the last days of each history, on warm memory, with the pages it looks "
            "at; and the process that compiles it with dbt and runs it five times. Ratio: time of the query over that on "
            "the shortest history that holds the window.",
            table(
                ["days", "attempts", "query: ms", "query: pages of 8 KiB", "process: seconds", "ratio"], rows
            ),
            plot({name: points for name, points in series.items() if points}, "attempts", "milliseconds"),
        ],
        goals,
    )

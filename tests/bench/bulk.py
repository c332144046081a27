"""Many records at once: the product beside its peers, and the memory of backfills."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.place import CLEAN, Place
from tests.bench.processes import Cost, middle
from tests.bench.report import COST_HEAD, Goal, Section, cells, table
from tests.bench.sizes import ROUNDS, Sizes

_LOADS = {
    "ingest": "product: API to committed raw rows",
    "ingest_nothing": "product: the same for a day without records",
    "copy": "psycopg2 COPY into one jsonb column, from files",
    "insert": "psycopg2 execute_values, from files",
    "dlt": "dlt with its defaults, from files",
}
_JOBS = {
    "run": "product: API to tested marts, workbook and mail",
    "run_nothing": "product: the same for a day without records",
    "script": "a script with pandas: API to a table and daily metrics, nothing tested",
}
_NOTHING = "_nothing"
_GOALS = {"copy": ("COPY", 0.6), "dlt": ("dlt with its defaults", 5.0), "insert": ("execute_values", 1.3)}
_JOB = 2.0
# The records that the goals are meant for.
_LARGE = 1_000_000
# What the script computes, too.
_FIGURES = ("activity_date", "attempts", "submits", "success_rate", "unique_users")


class DifferentFiguresError(Exception):
    """The product and the script don't agree, so there is nothing to compare."""


def beside_peers(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Section:
    """Ingestion and the whole job beside their peers, in turns, on clean records."""
    days = range(-sizes.bulk, 0)
    files = place.prepare(days, CLEAN)
    # The first run compiles the code and makes dbt parse the project, which later ones don't.
    _measure(place, "run_nothing", days, files)
    costs: dict[str, list[Cost]] = {name: [] for name in (*_LOADS, *_JOBS)}
    for turn in range(ROUNDS):
        for name in costs:
            costs[name].append(_measure(place, name, days, files))
            say(f"bulk, round {turn + 1}: {name} {costs[name][-1].seconds:.1f} s")
        compare(_figures(place, "run", "marts"), _figures(place, "script", "script"))
    for name in costs:
        place.drop(f"bulk_{name}")
    return _section({name: middle(list_) for name, list_ in costs.items()}, len(days) * sizes.per_day)


def _measure(place: Place, name: str, days: range, files: list[Path]) -> Cost:
    warehouse = place.fresh(f"bulk_{name}")
    if name == "script":
        return place.script(warehouse, days, CLEAN)
    if name in ("copy", "insert", "dlt"):
        return place.peer(warehouse, name, files)
    window = range(1) if name.endswith(_NOTHING) else days
    return place.command(warehouse, name.removesuffix(_NOTHING), window, client=CLEAN)


def _section(found: Mapping[str, Cost], records: int) -> Section:
    rows = []
    for names, own in ((_LOADS, found["ingest"]), (_JOBS, found["run"])):
        for name, words in names.items():
            cost = found[name]
            rate = "" if name.endswith(_NOTHING) else f"{records / cost.seconds:,.0f}"
            rows.append([words, *cells(cost), rate, f"{cost.seconds / own.seconds:.2f}"])
    text = (
        f"{records:,} clean records. Ratio: time over that of the product's ingestion, for whole jobs over that of its "
        "`run`. The product and the script ask the API over HTTP, the others read files. In every round the script's "
        "attempts, submits, success rate and users were the product's for each day."
    )
    return Section(
        "Bulk: beside its peers",
        [text, table(["what", *COST_HEAD, "records/s", "ratio"], rows)],
        [
            *(_goal(found, name, words, least, records) for name, (words, least) in _GOALS.items()),
            Goal(
                f"the whole job of {records:,}, beside a script with pandas",
                f"≥ {_JOB:g} × as fast",
                f"{found['script'].seconds / found['run'].seconds:.2f} ×",
                found["script"].seconds / found["run"].seconds >= _JOB,
                records >= _LARGE,
            ),
        ],
    )


def _goal(found: Mapping[str, Cost], name: str, words: str, least: float, records: int) -> Goal:
    own = found["ingest"].seconds
    ratio = found[name].seconds / own
    beyond = found[name].seconds / (own - found["ingest_nothing"].seconds)
    measured = f"{ratio:.2f} × ({beyond:.2f} × beyond start-up)"
    what = f"ingestion of {records:,}, beside {words}"
    return Goal(what, f"≥ {least:g} × its rate", measured, ratio >= least, records >= _LARGE)


def _figures(place: Place, name: str, schema: str) -> list[dict[str, Any]]:
    query = f"select {', '.join(_FIGURES)} from {schema}.daily_metrics order by activity_date"
    rows = place.execute(place.database(f"bulk_{name}"), query)
    return [dict(zip(_FIGURES, row, strict=True)) for row in rows]


def compare(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
    """Check that two lists of daily metrics are the same. Raises DifferentFiguresError, which names differences."""
    differences = [f"{len(ours)} days instead of {len(theirs)}"] if len(ours) != len(theirs) else []
    for mine, other in zip(ours, theirs, strict=False):
        differences += [
            f"{mine['activity_date']}: {name} is {mine[name]}, the script says {value}"
            for name, value in other.items()
            if not _same(mine[name], value)
        ]
    if differences:
        raise DifferentFiguresError(
            "The product's daily metrics differ from the script's:\n" + "\n".join(differences[:20])
        )


def _same(mine: Any, other: Any) -> bool:
    if mine is None or other is None:
        return mine is other
    try:
        return math.isclose(float(mine), float(other), rel_tol=1e-9)
    except (TypeError, ValueError):
        return str(mine) == str(other)


def backfills(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Section:
    """The whole product, deliveries included, over windows of more and more days."""
    place.prepare(range(-max(sizes.backfills), 0))
    costs: dict[int, list[Cost]] = {days: [] for days in sizes.backfills}
    for turn in range(ROUNDS):
        for days in sizes.backfills:
            costs[days].append(place.command(place.fresh("backfill"), "run", range(-days, 0)))
            say(f"backfill, round {turn + 1}: {days} days {costs[days][-1].peak_mb:.0f} MB")
    place.drop("backfill")
    found = {days: middle(list_) for days, list_ in costs.items()}
    peaks = [cost.peak_mb for cost in found.values()]
    spread = max(peaks) / min(peaks) - 1
    text = f"`make run START= END=` on an empty warehouse, {sizes.per_day:,} records a day; peak of the Python process."
    return Section(
        "Memory of a backfill",
        [text, table(["days", *COST_HEAD], [[str(days), *cells(cost)] for days, cost in found.items()])],
        [
            Goal("memory: peak of a backfill", "≤ 300 MB", f"{max(peaks):.0f} MB", max(peaks) <= 300),
            Goal(
                f"memory: of {', '.join(map(str, sizes.backfills))} days",
                "the same within 10 %",
                f"{100 * spread:.0f} % apart",
                spread <= 0.1,
                max(sizes.backfills) >= 100,
            ),
        ],
    )

"""Many records at once: the product beside its peers, and the memory of backfills."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.place import Place
from tests.bench.processes import Cost, middle
from tests.bench.report import COST_HEAD, Goal, Section, bars, cells, table
from tests.bench.sizes import ROUNDS, Sizes

_NAMES = {
    "ingest": "product: HTTP to committed raw rows",
    "ingest_nothing": "product: ingestion of a day without records",
    "copy": "psycopg2 COPY into one jsonb column, from files",
    "copy_http": "the same COPY, from the API",
    "insert": "psycopg2 execute_values, from files",
    "dlt": "dlt with its defaults, from files",
    "fetch": "fetching alone, one day at a time",
    "whole": "product: HTTP to tested marts",
    "whole_nothing": "product: whole job of a day without records",
    "duckdb": "DuckDB: files to daily metrics, nothing stored",
}
_NOTHING = "_nothing"
_WHOLE = ("whole", "whole_nothing")
# The records that the goals are meant for.
_LARGE = 1_000_000
_CLOSE = 1e-9


class DifferentFiguresError(Exception):
    """The product and its peer don't agree, so there is nothing to compare."""


def beside_peers(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Section:
    """Ingestion and the whole job beside their peers, in turns."""
    days = range(-sizes.bulk, 0)
    place.prepare(days)
    nothing = range(1)
    for name in _WHOLE:
        # The first build in a folder makes dbt parse the project, which later ones don't.
        place.task(place.fresh(f"bulk_{name}"), "whole", nothing)
    costs: dict[str, list[Cost]] = {name: [] for name in _NAMES}
    for turn in range(ROUNDS):
        for name in _NAMES:
            warehouse = place.fresh(f"bulk_{name}")
            task = name.removesuffix(_NOTHING)
            outcome = place.task(warehouse, task, days if task == name else nothing)
            costs[name].append(outcome.cost)
            say(f"bulk, round {turn + 1}: {name} {outcome.cost.seconds:.1f} s")
            if name == "duckdb":
                figures = json.loads(outcome.output)
                compare(_metrics(place, figures), figures)
            if name != "whole":
                # Nothing of it should be vacuumed while the next is measured.
                place.drop(f"bulk_{name}")
    place.drop("bulk_whole")
    found = {name: middle(list_) for name, list_ in costs.items()}
    return _section(found, len(days) * sizes.per_day)


def _section(found: Mapping[str, Cost], records: int) -> Section:
    seconds = {name: cost.seconds for name, cost in found.items()}
    rows = []
    for name, cost in found.items():
        mine = seconds["whole" if name in (*_WHOLE, "duckdb") else "ingest"]
        rate = "" if name.endswith(_NOTHING) else f"{records / cost.seconds:,.0f}"
        rows.append([_NAMES[name], *cells(cost), rate, f"{cost.seconds / mine:.2f}"])
    lead = (
        f"{records:,} records. Ratio: time over that of the product's ingestion; for whole jobs and DuckDB over that of the "
        "product's whole job. The product asks the API over HTTP and its peers read files, which is to the product's "
        "disadvantage: see how long fetching alone and COPY from the API take. In every round, each column of DuckDB's "
        "daily metrics was equal to the product's for each day; one record in a hundred is repeated, corrected, oddly "
        "written or invalid."
    )
    return Section(
        "Bulk: beside its peers",
        [
            lead,
            table(["what", *COST_HEAD, "records/s", "ratio"], rows),
            bars({_NAMES[name]: value for name, value in seconds.items()}, "seconds"),
        ],
        _goals(seconds, records),
    )


def _goals(seconds: Mapping[str, float], records: int) -> list[Goal]:
    goals = []
    for name, words, least in (
        ("copy", "COPY from files", 0.8),
        ("dlt", "dlt with its defaults", 8.0),
        ("insert", "execute_values", 2.0),
    ):
        ratio = seconds[name] / seconds["ingest"]
        beyond = seconds[name] / (seconds["ingest"] - seconds["ingest_nothing"])
        told = f"{ratio:.2f} × ({beyond:.2f} × beyond start-up)"
        what = f"ingestion of {records:,}, beside {words}"
        goals.append(Goal(what, f"≥ {least:g} × its rate", told, ratio >= least, records >= _LARGE))
    ratio = seconds["whole"] / seconds["duckdb"]
    beyond = (seconds["whole"] - seconds["whole_nothing"]) / seconds["duckdb"]
    told = f"{ratio:.2f} × ({beyond:.2f} × beyond start-up)"
    what = f"the whole job of {records:,}, beside DuckDB"
    return [*goals, Goal(what, "≤ 2 × its time", told, ratio <= 2, records >= _LARGE)]


def _metrics(place: Place, like: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = list(like[0])
    rows = place.execute(
        place.database("bulk_whole"),
        f"select {', '.join(names)} from marts.daily_metrics order by activity_date",  # noqa: S608 our own
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def compare(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
    """Check that two lists of daily metrics are the same. Raises DifferentFiguresError, which names each difference."""
    differences = [f"{len(ours)} days instead of {len(theirs)}"] if len(ours) != len(theirs) else []
    for mine, other in zip(ours, theirs, strict=False):
        differences += [
            f"{mine['activity_date']}: {name} is {mine[name]}, DuckDB says {value}"
            for name, value in other.items()
            if not _same(mine[name], value)
        ]
    if differences:
        raise DifferentFiguresError(
            "The product's daily metrics differ from DuckDB's:\n" + "\n".join(differences[:20])
        )


def _same(mine: Any, other: Any) -> bool:
    if mine is None or other is None:
        return mine is other
    try:
        return math.isclose(float(mine), float(other), rel_tol=_CLOSE)
    except (TypeError, ValueError):
        return str(mine) == str(other)


def backfills(place: Place, sizes: Sizes, say: Callable[[str], None]) -> Section:
    """The whole product, deliveries included, over windows of more and more days."""
    place.prepare(range(-max(sizes.backfills), 0))
    costs: dict[int, list[Cost]] = {days: [] for days in sizes.backfills}
    for turn in range(ROUNDS):
        for days in sizes.backfills:
            outcome = place.command(place.fresh("backfill"), "run", range(-days, 0))
            costs[days].append(outcome.cost)
            say(f"backfill, round {turn + 1}: {days} days {outcome.cost.peak_mb:.0f} MB")
    place.drop("backfill")
    found = {days: middle(list_) for days, list_ in costs.items()}
    peaks = [cost.peak_mb for cost in found.values()]
    spread = max(peaks) / min(peaks) - 1
    return Section(
        "Memory of a backfill",
        [
            f"`make run START= END=` on an empty warehouse, {sizes.per_day:,} records a day; peak of the Python process.",
            table(["days", *COST_HEAD], [[str(days), *cells(cost)] for days, cost in found.items()]),
        ],
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

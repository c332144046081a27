"""What the report of the benchmarks says, and what stops it."""

from pathlib import Path

import pytest

from orchestration.settings import ROOT
from tests.bench import disk, report
from tests.bench.bulk import DifferentFiguresError, compare
from tests.bench.sizes import FULL

DAY = {"activity_date": "2026-03-01", "attempts": 3, "success_rate": 2 / 3, "new_users": None}


def test_equal_figures_are_equal_however_they_are_typed() -> None:
    compare([{**DAY, "attempts": 3.0}], [DAY])


@pytest.mark.parametrize(
    ("column", "value"), [("attempts", 4), ("success_rate", 0.6666), ("new_users", 0), ("attempts", None)]
)
def test_a_figure_that_differs_stops_the_benchmark_and_is_named(column: str, value: object) -> None:
    with pytest.raises(DifferentFiguresError, match=f"2026-03-01: {column} is"):
        compare([{**DAY, column: value}], [DAY])


def test_a_missing_day_stops_the_benchmark() -> None:
    with pytest.raises(DifferentFiguresError, match="1 days instead of 2"):
        compare([DAY], [DAY, {**DAY, "activity_date": "2026-03-02"}])


def test_every_index_of_the_models_is_explained() -> None:
    project = ROOT / "dbt_project" / "models"
    missing = [
        f"{path.stem}: {key}"
        for path in sorted(project.rglob("*.sql"))
        for key in indexes_of(path)
        if key not in disk.INDEXES
    ]

    assert not missing


def indexes_of(model: Path) -> list[str]:
    """The indexes that a model's configuration asks for, as `bench.disk` names them."""
    schema = "marts" if model.parent.name == "marts" else "staging"
    found = []
    for line in model.read_text(encoding="utf-8").splitlines():
        for part in line.split("{'columns': [")[1:]:
            columns = part.partition("]")[0].replace("'", "")
            unique = " unique" if "'unique': true" in part.partition("}")[0] else ""
            found.append(f"{schema}.{model.stem} btree ({columns}){unique}")
    return found


def test_bars_of_values_that_span_decades_differ_and_keep_their_order() -> None:
    lines = report.bars({"quick": 0.1, "slow": 10.0, "slower": 1000.0}, "seconds").splitlines()[2:5]

    lengths = [line.count("█") for line in lines]
    assert lengths == sorted(set(lengths))
    assert lines[0].endswith("0.1")


def test_a_series_that_grows_with_its_size_is_drawn_from_corner_to_corner() -> None:
    picture = report.plot({"rising": {10: 1, 1_000: 100}}, "attempts", "seconds").splitlines()
    points = [line.index("r", 10) for line in picture if "|" in line and "r" in line]

    assert len(points) == 2
    assert points[0] > points[1]


def test_named_histories_replace_the_sizes_and_no_full_refresh_is_longer() -> None:
    sizes = FULL.of_histories([50_000, 2_000_000])

    assert sizes.histories == (5, 200)
    assert sizes.refreshes == (100,)
    assert FULL.of_histories([50_000]).refreshes == (5,)

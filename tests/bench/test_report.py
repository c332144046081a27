"""What the report of the benchmarks says, and what stops it."""

import pytest

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


def test_named_histories_replace_the_sizes_and_no_full_refresh_is_longer() -> None:
    sizes = FULL.of_histories([50_000, 2_000_000])

    assert sizes.histories == (5, 200)
    assert sizes.refreshes == (100,)
    assert FULL.of_histories([50_000]).refreshes == (5,)

"""Portions: of one day, with whole symbols, wherever the batches were cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support.tick_batches import batches_of, tick

from hk_tick_collector.read.portions import portions

pytest.importorskip("pyarrow")

TICKS = [
    tick(f"10:00:{second:02}", symbol=symbol, day=day)
    for day in ("20261119", "20261120")
    for symbol in ("HK.00005", "HK.00700", "HK.09988")
    for second in range(10)
]


def runs(batch: Any) -> list[tuple[str, int]]:  # noqa: ANN401
    """The symbols of a batch, and how many ticks each has."""
    symbols = batch.column("symbol").to_pylist()
    ends = [place for place, (one, other) in enumerate(pairwise([*symbols, None]), start=1) if one != other]
    return [(symbols[begin], end - begin) for begin, end in pairwise([0, *ends])]


@pytest.mark.parametrize("cuts", [(), (5,), (10, 20, 30), (1, 2, 3, 29, 31), tuple(range(60))])
def test_a_portion_has_whole_symbols_of_one_day(cuts: tuple[int, ...]) -> None:
    """At least the rows that were asked for, then up to the symbol's end."""
    found = [(day, runs(batch)) for day, batch in portions(batches_of(TICKS, cuts), rows=11)]
    assert {day for day, _ in found} == {"20261119", "20261120"}
    for day in ("20261119", "20261120"):
        of_day = [run for one, some in found for run in some if one == day]
        assert of_day == [("HK.00005", 10), ("HK.00700", 10), ("HK.09988", 10)]


def test_a_portion_is_no_larger_than_it_must_be() -> None:
    """So a day of any size needs the memory of a few symbols."""
    found = [runs(batch) for _, batch in portions(batches_of(TICKS, tuple(range(0, 60, 5))), rows=11)]
    assert found == [
        [("HK.00005", 10)],
        [("HK.00700", 10)],
        [("HK.09988", 10)],
    ] * 2  # fmt: skip


def test_no_batches_are_no_portions() -> None:
    """Nor are batches without ticks."""
    (empty,) = batches_of(TICKS[:1])
    assert list(portions([])) == []
    assert list(portions([empty.slice(0, 0)])) == []

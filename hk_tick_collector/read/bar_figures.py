"""The figures of bars: prices and sums over runs of ticks.

Python adds up slices of the columns. That is as fast as pyarrow's `group_by`, which would import pandas where it is
installed; and `fsum` gives the same sum however the ticks were read.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.read.numbers import cells, whole, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BUY, _SELL = 1, 2


class Figures(NamedTuple):
    """One value for each bar.

    Attributes:
        key: the key of its ticks.
        first_ms: the time of its first tick, UTC epoch ms.
        last_ms: the time of its last tick.
        columns: by name, as in `bars.bar_schema`.
    """

    key: Any
    first_ms: Any
    last_ms: Any
    columns: dict[str, Any]


def figures(batch: Any, key: Any, price_types: Iterable[int]) -> Figures:  # noqa: ANN401
    """The figures of each run of equal keys.

    Args:
        batch: a pyarrow.RecordBatch with the columns `bars.TICK_COLUMNS`.
        key: a number for each tick.
        price_types: the types of ticks that set prices.

    Raises:
        DatabaseError: volumes add up to more than a column can hold.
    """
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    runs = compute.run_end_encode(key)
    ends = runs.run_ends.to_pylist()
    ts_ms = batch.column("ts_ms").cast(pa.int64())
    volume, turnover, direction = (batch.column(name) for name in ("volume", "turnover", "direction_id"))
    sides = {"bought": _BUY, "sold": _SELL}
    return Figures(
        runs.values,
        ts_ms.take(whole_numbers([0, *ends[:-1]][: len(ends)])),
        ts_ms.take(whole_numbers(end - 1 for end in ends)),
        {
            **_prices(batch, price_types, ends),
            "volume": _sums(volume, ends),
            "turnover": _money(turnover, ends),
            "ticks": whole_numbers(end - begin for begin, end in _slices(ends)),
            **{
                name: _sums(volume.filter(is_there), _ends_among(is_there, ends))
                for name, side in sides.items()
                for is_there in [compute.equal(direction, whole(side))]
            },
        },
    )


def _prices(batch: Any, price_types: Iterable[int], ends: list[int]) -> dict[str, Any]:  # noqa: ANN401
    """The prices of each bar, of the ticks that set prices; null if it has none."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    sets_price = compute.is_in(batch.column("tick_type_id"), value_set=whole_numbers(sorted(price_types)))
    price = cells(batch.column("price").filter(sets_price))
    ends = _ends_among(sets_price, ends)
    slices = list(_slices(ends))
    shares = _sums(batch.column("volume").filter(sets_price), ends)
    money = _money(batch.column("turnover").filter(sets_price), ends)
    no_shares, no_price = pa.nulls(1, pa.int64())[0], pa.nulls(1, pa.float64())[0]
    shares = compute.if_else(compute.greater(shares, whole(0)), shares, no_shares)
    is_there = compute.greater(whole_numbers(end - begin for begin, end in slices), whole(0))
    found = {
        "open": (price[begin] if begin < end else 0.0 for begin, end in slices),
        "high": (max(price[begin:end], default=0.0) for begin, end in slices),
        "low": (min(price[begin:end], default=0.0) for begin, end in slices),
        "close": (price[end - 1] if begin < end else 0.0 for begin, end in slices),
    }
    return {
        **{name: compute.if_else(is_there, _reals(values), no_price) for name, values in found.items()},
        "vwap": compute.divide(money, shares.cast(pa.float64())),
    }


def _slices(ends: list[int]) -> Iterator[tuple[int, int]]:
    """Where each bar's ticks begin and end."""
    return pairwise([0, *ends])


def _ends_among(is_chosen: Any, ends: list[int]) -> list[int]:  # noqa: ANN401
    """The same ends, counted among the chosen ticks only."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    counts = cells(compute.cumulative_sum(is_chosen.cast(pa.int64())))
    return [int(counts[end - 1]) for end in ends]


def _sums(column: Any, ends: list[int]) -> Any:  # noqa: ANN401
    values = cells(column)
    try:
        return whole_numbers(sum(values[begin:end]) for begin, end in _slices(ends))
    except OverflowError as exc:
        raise DatabaseError("the volumes of a bar add up to more than 2⁶³ shares: some ticks make no sense") from exc


def _money(column: Any, ends: list[int]) -> Any:  # noqa: ANN401
    values = cells(column)
    return _reals(fsum(values[begin:end]) for begin, end in _slices(ends))


def _reals(values: Iterable[float]) -> Any:  # noqa: ANN401 - a pyarrow.DoubleArray
    pa = require("pyarrow")
    found = array("d", values)
    return pa.Array.from_buffers(pa.float64(), len(found), [None, pa.py_buffer(found)])

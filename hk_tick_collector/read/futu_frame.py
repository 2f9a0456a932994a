"""Ticks as the official SDK's `get_rt_ticker` gives them: column for column, word for word.

Owns the names and words of that DataFrame, as of futu-api 10.11. A test compares it with the SDK's own answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.hktime import HK_OFFSET_MS
from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES
from hk_tick_collector.parquet.arrow import text_array
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.read.archived_day import numbers_array

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED: Final = ("symbol", "seq", "ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id")
COLUMNS: Final = ("code", "name", "time", "price", "volume", "turnover", "ticker_direction", "sequence", "type")

# What the SDK writes for what OpenD did not tell; also for a number that it does not know.
_UNKNOWN: Final = "N/A"
_DIRECTIONS: Final = {number: name for number, name in DIRECTIONS.items() if number}
_TYPES: Final = {**TICK_TYPES, 28: "REOPENINGP_RICED"}  # the SDK's own spelling


def futu_table(table: Any) -> Any:  # noqa: ANN401 - pyarrow.Table in and out
    """A table with the SDK's columns, made from one with the columns `NEEDED`.

    The security's name is not recorded: it is `N/A`, as where OpenD gives none.
    """
    pa = require("pyarrow")
    names = text_array([_UNKNOWN] if table.num_rows else [])
    index = pa.Array.from_buffers(pa.int32(), table.num_rows, [None, pa.py_buffer(bytes(4 * table.num_rows))])
    columns = {
        "code": table.column("symbol").cast(pa.string()),
        "name": names.take(index),
        "time": _written(table.column("ts_ms")),
        "price": table.column("price"),
        "volume": table.column("volume"),
        "turnover": table.column("turnover"),
        "ticker_direction": _words(table.column("direction_id"), _DIRECTIONS),
        "sequence": table.column("seq"),
        "type": _words(table.column("tick_type_id"), _TYPES),
    }
    return pa.Table.from_arrays([columns[name] for name in COLUMNS], names=list(COLUMNS))


def _words(numbers: Any, words: Mapping[int, str]) -> Any:  # noqa: ANN401
    """The SDK's word for each number."""
    compute = require("pyarrow.compute")
    known = sorted(words)
    place = compute.index_in(numbers, value_set=numbers_array("seq", known))
    return compute.fill_null(text_array([words[number] for number in known]).take(place), text_array([_UNKNOWN])[0])


def _written(times: Any) -> Any:  # noqa: ANN401
    """`2026-11-20 09:30:00` in Hong Kong time, with `.123` only where there is a fraction of a second."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    offset, second, zero = (numbers_array("seq", [number])[0] for number in (HK_OFFSET_MS, 1000, 0))
    local = compute.add(times.cast(pa.int64()), offset)
    seconds = compute.divide(local, second)
    text = compute.strftime(seconds.cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S")
    fractions = compute.subtract(local, compute.multiply(seconds, second))
    has_fraction = compute.not_equal(fractions, zero)
    if not compute.any(has_fraction).as_py():
        return text
    precise = compute.strftime(local.cast(pa.timestamp("ms")), format="%Y-%m-%d %H:%M:%S")  # %S has the fraction
    return compute.if_else(has_fraction, precise, text)

"""Cuts a stream of ticks into portions that can be worked on alone: of one day, with all ticks of each symbol.

Owns the cutting. The order of the ticks is the stream's: by day, symbol and sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS, hk_day
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.read.numbers import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PORTION_ROWS: Final = 262_144  # a portion is cut at the next symbol after this many ticks


class Portion(NamedTuple):
    """Ticks of whole symbols of one day.

    Attributes:
        day: YYYYMMDD.
        batch: a pyarrow.RecordBatch.
    """

    day: str
    batch: Any


def portions(batches: Iterable[Any], rows: int = PORTION_ROWS) -> Iterator[Portion]:
    """Cut RecordBatches with the columns `symbol` and `ts_ms`, sorted by day and symbol, into portions.

    Args:
        batches: cut anywhere; where they are cut makes no difference to the ticks of a symbol.
        rows: a portion has at least this many, unless its day has no more.
    """
    day, held, count = 0, list[Any](), 0
    for batch in batches:
        for of_day, part in _by_day(batch):
            if held and of_day != day:
                yield _portion(day, _joined(held))
                held, count = [], 0
            day = of_day
            held.append(part)
            count += part.num_rows
            if count >= rows:
                joined = _joined(held)
                begin = _last_symbol_begins(joined)
                held, count = [joined.slice(begin)], joined.num_rows - begin
                if begin:
                    yield _portion(day, joined.slice(0, begin))
    if held:
        yield _portion(day, _joined(held))


def _portion(day: int, batch: Any) -> Portion:  # noqa: ANN401
    return Portion(hk_day(day * DAY_MS - HK_OFFSET_MS), batch)


def _by_day(batch: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
    """The parts of a batch by Hong Kong day, as days since 1970."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    if not batch.num_rows:
        return
    ms = batch.column("ts_ms").cast(pa.int64())
    days = compute.divide(compute.add(ms, whole(HK_OFFSET_MS)), whole(DAY_MS))
    begin = 0
    runs = compute.run_end_encode(days)
    for end, day in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield day, batch.slice(begin, end - begin)
        begin = end


def _joined(parts: list[Any]) -> Any:  # noqa: ANN401
    """One batch, with one dictionary for each column."""
    if len(parts) == 1:
        return parts[0]
    pa = require("pyarrow")
    (batch,) = pa.Table.from_batches(parts).unify_dictionaries().combine_chunks().to_batches()
    return batch


def _last_symbol_begins(batch: Any) -> int:  # noqa: ANN401
    """Where the last symbol's ticks begin."""
    ends = require("pyarrow.compute").run_end_encode(batch.column("symbol").indices).run_ends
    return int(ends[len(ends) - 2].as_py()) if len(ends) > 1 else 0

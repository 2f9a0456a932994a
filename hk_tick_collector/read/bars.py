"""Bars of ticks: by time, by number of ticks, by shares or by money.

Owns the computing, on whole columns; `bar_rules` owns what belongs together. Within a bar, the first and the last trade
are those by sequence, which is the exchange's order. Where a symbol has ticks without a real sequence, the order is
that of their times.
"""

from __future__ import annotations

from array import array
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.parquet.arrow import text_array
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.read.bar_figures import figures
from hk_tick_collector.read.bar_rules import (
    AUCTION,
    MATCHED,
    OPENING_PRINT_MS,
    PRICE_TYPES,
    check_currency,
    day_sessions,
    parse_every,
)
from hk_tick_collector.read.numbers import cells, whole, whole_numbers
from hk_tick_collector.read.portions import PORTION_ROWS, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from hk_tick_collector.audit.schedule import Session
    from hk_tick_collector.read.bar_figures import Figures
    from hk_tick_collector.read.bar_rules import Auctions, DayFacts, Every, Like
    from hk_tick_collector.read.portions import Portion

TICK_COLUMNS: Final = (
    "symbol", "seq", "ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id",
)  # fmt: skip
"""The columns of ticks that bars are made of."""

ZONE: Final = "Asia/Hong_Kong"
_WHOLE_DAY: Final = "day"
_LONGER_THAN_A_DAY_MS: Final = 2 * DAY_MS


class _Plan(NamedTuple):
    """What was asked for."""

    every: Every
    auctions: Auctions
    merges_closing: bool
    labels_end: bool
    price_types: Collection[int]


@cache
def bar_schema() -> Any:  # noqa: ANN401 - pyarrow has no types
    """The Arrow schema of bars. Prices are null in a bar without a trade that sets prices; nothing else is."""
    pa = require("pyarrow")
    word, instant = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ms", tz=ZONE)
    kinds = {
        "symbol": word, "time": instant, "end": instant, "session": word,
        "open": pa.float64(), "high": pa.float64(), "low": pa.float64(), "close": pa.float64(), "vwap": pa.float64(),
        "volume": pa.int64(), "turnover": pa.float64(), "ticks": pa.int64(), "bought": pa.int64(), "sold": pa.int64(),
        "gap": pa.bool_(),
    }  # fmt: skip
    prices = {"open", "high", "low", "close", "vwap"}
    return pa.schema([pa.field(name, kind, nullable=name in prices) for name, kind in kinds.items()])


def make_bars(
    batches: Iterable[Any],
    every: str = "1m",
    *,
    facts: Callable[[str], DayFacts],
    auctions: Auctions | None = None,
    price_types: Collection[int] | None = None,
    like: Like | None = None,
    portion_rows: int = PORTION_ROWS,
) -> Any:  # noqa: ANN401 - a pyarrow.Table
    """Bars of ticks.

    Args:
        batches: pyarrow.RecordBatches with the columns `TICK_COLUMNS`, sorted by day, symbol and sequence.
        every: `5s`, `1m`, `1h`, `1d`; `1000 ticks`, `1e6 shares`, `1e7 HKD`.
        facts: gives the facts of a day (YYYYMMDD); called once or several times for each day.
        auctions: `own`: each auction is a bar of its own (the default); `merge`: it belongs to the bar next to it;
            `drop`: leave out what was traded in the auctions' sessions. A bar of `1d` has them merged or dropped.
        price_types: the types of ticks that set prices; None: `bar_rules.PRICE_TYPES`. All others count only in volume,
            turnover and ticks. To leave types out, leave their ticks out of the batches.
        like: `futu`: labels at the end, the opening auction as a bar of its own at 09:30, the closing auction merged.
        portion_rows: about how many ticks are worked on at a time.

    Returns:
        A pyarrow.Table with the columns of `bar_schema()`, sorted by day, symbol and time.

    Raises:
        ConfigError: an argument makes no sense.
        MissingExtraError: pyarrow is not installed.
    """
    plan = _plan_of(every, auctions, price_types, like)
    pa = require("pyarrow")
    tables = [_bars_of(portion, facts(portion.day), plan) for portion in portions(batches, portion_rows)]
    return pa.concat_tables([pa.Table.from_batches([], bar_schema()), *tables]).unify_dictionaries().combine_chunks()


def _plan_of(every: str, auctions: Auctions | None, price_types: Collection[int] | None, like: Like | None) -> _Plan:
    how = parse_every(every)
    if auctions not in {None, "own", "merge", "drop"}:
        raise ConfigError(f"auctions={auctions!r}, expected 'own', 'merge' or 'drop'")
    if like not in {None, "futu"}:
        raise ConfigError(f"like={like!r}, expected 'futu'")
    if like and auctions:
        raise ConfigError("expected either like='futu' or auctions=…: Futu's bars have their own way with auctions")
    if like and how.kind not in {"time", "day"}:
        raise ConfigError(f"every={every!r} with like='futu', expected a time: Futu has no other bars")
    return _Plan(
        how,
        auctions or "own",
        merges_closing=like is not None or auctions == "merge",
        labels_end=like is not None and how.kind == "time",
        price_types=PRICE_TYPES if price_types is None else price_types,
    )


def _bars_of(portion: Portion, facts: DayFacts, plan: _Plan) -> Any:  # noqa: ANN401 - a pyarrow.Table
    """The bars of a portion."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    batch = portion.batch
    sessions = day_sessions(portion.day, facts)
    runs, names = _runs(batch)
    for name in names:
        check_currency(plan.every, name)
    ts_ms = batch.column("ts_ms").cast(pa.int64())
    which = _session_numbers(sessions, ts_ms, batch.column("tick_type_id"))
    last = len(sessions) - 1
    if plan.auctions == "drop":
        kept = compute.and_(compute.greater(which, whole(0)), compute.less(which, whole(last)))
        batch, runs, ts_ms, which = (part.filter(kept) for part in (batch, runs, ts_ms, which))
    elif plan.auctions == "merge":
        which = compute.max_element_wise(which, whole(1))
    if plan.merges_closing:
        which = compute.min_element_wise(which, whole(last - 1))
    if plan.every.kind == "day":
        which = compute.multiply(which, whole(0))
    grid = _Grid(portion.day, sessions, plan)
    batch, key, ts_ms = _in_order(batch, compute.add(compute.shift_left(runs, whole(_SESSION_BITS)), which), ts_ms)
    places = grid.places(key, ts_ms) if grid.is_fixed else _counted(key, batch, plan.every)
    key = compute.add(compute.shift_left(key, whole(_PLACE_BITS)), places)
    if grid.is_fixed:  # a late tick may have the time of an earlier bar
        batch, key = _sorted_by(key, batch, key)
    return _assembled(figures(batch, key, plan.price_types), names, grid, facts)


# A key is a symbol's place in the portion, its session, and the bar's place in the session.
_SESSION_BITS: Final = 3
_PLACE_BITS: Final = 32


def _runs(batch: Any) -> tuple[Any, list[str]]:  # noqa: ANN401
    """For each tick, the place of its symbol among the portion's symbols, and these symbols."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    symbols = batch.column("symbol")
    seen = compute.unique(symbols.indices)
    runs = compute.index_in(symbols.indices, value_set=seen).cast(pa.int64())
    return runs, symbols.dictionary.take(seen).to_pylist()


def _session_numbers(sessions: Sequence[Session], ts_ms: Any, types: Any) -> Any:  # noqa: ANN401
    """For each tick, the number of its session, by the rules of `bar_rules`."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    number = compute.multiply(ts_ms, whole(0))
    for session in sessions[1:]:
        number = compute.add(number, compute.greater_equal(ts_ms, whole(session.begin_ms)).cast(pa.int64()))
    is_opening = compute.and_(
        compute.and_(compute.equal(number, whole(1)), compute.equal(types, whole(AUCTION))),
        compute.less(ts_ms, whole(sessions[1].begin_ms + OPENING_PRINT_MS)),
    )
    last = len(sessions) - 1
    is_late = compute.and_(
        compute.equal(number, whole(last)), compute.is_in(types, value_set=whole_numbers(sorted(MATCHED)))
    )
    return compute.case_when(compute.make_struct(is_opening, is_late), whole(0), whole(last - 1), number)


def _in_order(batch: Any, key: Any, ts_ms: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """The ticks by symbol, session, and sequence, or time where a symbol has ticks without a real sequence."""
    compute = require("pyarrow.compute")
    is_made_up = compute.less_equal(batch.column("seq"), whole(0))
    if compute.any(is_made_up).as_py():
        runs = compute.shift_right(key, whole(_SESSION_BITS))
        by_time = compute.is_in(runs, value_set=compute.unique(runs.filter(is_made_up)))
        batch, key, ts_ms = _sorted_by(compute.if_else(by_time, ts_ms, whole(0)), batch, key, ts_ms)
    batch, key, ts_ms = _sorted_by(key, batch, key, ts_ms)
    return batch, key, ts_ms


def _sorted_by(by: Any, *parts: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """The parts, in the order of `by`; equal ones keep theirs."""
    compute = require("pyarrow.compute")
    if len(by) < 2 or compute.all(compute.less_equal(by[:-1], by[1:])).as_py():  # noqa: PLR2004 - one is in order
        return parts
    order = compute.array_sort_indices(by)
    return tuple(part.take(order) for part in parts)


def _counted(key: Any, batch: Any, every: Every) -> Any:  # noqa: ANN401
    """For each tick, the number of its bar in its symbol's session: the tick that reaches the amount closes the bar."""
    amounts: Iterable[float] = repeat(1) if every.kind == "ticks" else cells(batch.column(_COUNTED[every.kind]))
    numbers = array("q")
    append = numbers.append
    before, number, limit = -1, 0, every.amount
    total = 0.0
    for group, amount in zip(cells(key), amounts, strict=False):
        if group != before:
            before, number, total = group, 0, 0.0
        elif total >= limit:
            number, total = number + 1, 0.0
        total += amount
        append(number)
    return whole_numbers(numbers)


_COUNTED: Final = {"shares": "volume", "turnover": "turnover"}


class _Grid:
    """Where the bars of a day are."""

    def __init__(self, day: str, sessions: Sequence[Session], plan: _Plan) -> None:
        self.is_fixed = plan.every.kind in {"time", "day"}
        """Whether a bar's time is known before its ticks."""
        self._labels_end = plan.labels_end
        if plan.every.kind == "day":
            self.names = [_WHOLE_DAY]
            self._begins, self._ends = [day_begin_ms(day)], [sessions[-1].end_ms]
            self._steps = [_LONGER_THAN_A_DAY_MS]
            return
        self.names = [session.name for session in sessions]
        self._begins = [session.begin_ms for session in sessions]
        self._ends = [session.end_ms for session in sessions]
        step = int(plan.every.amount)
        self._steps = [_LONGER_THAN_A_DAY_MS, *[step] * (len(sessions) - 2), _LONGER_THAN_A_DAY_MS]

    def places(self, key: Any, ts_ms: Any) -> Any:  # noqa: ANN401
        """For each tick, the number of its bar in its session. A tick outside of it is in its first or last bar."""
        compute = require("pyarrow.compute")
        which = self.sessions_of(key)
        begins, steps = whole_numbers(self._begins).take(which), whole_numbers(self._steps).take(which)
        lasts = [
            (end - begin - 1) // step for begin, end, step in zip(self._begins, self._ends, self._steps, strict=True)
        ]
        place = compute.divide(compute.max_element_wise(compute.subtract(ts_ms, begins), whole(0)), steps)
        return compute.min_element_wise(place, whole_numbers(lasts).take(which))

    @staticmethod
    def sessions_of(key: Any) -> Any:  # noqa: ANN401
        """For each key without a place, the session."""
        return require("pyarrow.compute").bit_wise_and(key, whole((1 << _SESSION_BITS) - 1))

    def times(self, which: Any, places: Any, first_ms: Any, last_ms: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        """For each bar, its label, its begin and its end, UTC epoch ms.

        The begin and the end of a bar that is not of time are those of its ticks.
        """
        compute = require("pyarrow.compute")
        if not self.is_fixed:
            return first_ms, first_ms, last_ms
        begins, steps = whole_numbers(self._begins).take(which), whole_numbers(self._steps).take(which)
        begin = compute.add(begins, compute.multiply(places, steps))
        end = compute.min_element_wise(compute.add(begin, steps), whole_numbers(self._ends).take(which))
        return (end if self._labels_end else begin), begin, end


def _assembled(bars: Figures, names: list[str], grid: _Grid, facts: DayFacts) -> Any:  # noqa: ANN401 - a Table
    """The columns of bars."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    schema = bar_schema()
    group = compute.shift_right(bars.key, whole(_PLACE_BITS))
    which, runs = grid.sessions_of(group), compute.shift_right(group, whole(_SESSION_BITS))
    places = compute.bit_wise_and(bars.key, whole((1 << _PLACE_BITS) - 1))
    label, begin, end = grid.times(which, places, bars.first_ms, bars.last_ms)
    found = {
        **bars.columns,
        "symbol": pa.DictionaryArray.from_arrays(runs.cast(pa.int32()), text_array(names)),
        "time": label.cast(schema.field("time").type),
        "end": end.cast(schema.field("end").type),
        "session": pa.DictionaryArray.from_arrays(which.cast(pa.int32()), text_array(grid.names)),
        "gap": _gaps(runs, names, begin, end, facts, is_open=grid.is_fixed),
    }
    return pa.table([found[name] for name in schema.names], schema=schema)


def _gaps(runs: Any, names: list[str], begin: Any, end: Any, facts: DayFacts, *, is_open: bool) -> Any:  # noqa: ANN401
    """For each bar, whether it spans a part of an open gap. `is_open`: its end does not belong to it."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    flags = bytearray(len(runs))
    begins, ends = cells(begin), cells(end)
    encoded = compute.run_end_encode(runs)
    first = 0
    for last, run in zip(encoded.run_ends.to_pylist(), encoded.values.to_pylist(), strict=True):
        for from_ms, to_ms in facts.gaps.get(names[run], ()):
            for place in range(first, last):
                is_after = from_ms is None or ends[place] - is_open >= from_ms
                if is_after and (to_ms is None or begins[place] <= to_ms):
                    flags[place] = 1
        first = last
    values = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)])
    return values.cast(pa.bool_())

"""Ticks as Arrow batches, as the read API gives them, and a naive reference of bars to compare with."""

from __future__ import annotations

from itertools import groupby, pairwise
from math import fsum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS, day_begin_ms, hk_day
from hk_tick_collector.parquet.arrow import batch_of, pack_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hk_tick_collector.audit.schedule import Session

DAY: Final = "20261120"
AUTO_MATCH, LATE, NON_AUTO_MATCH, INTER_AUTO_MATCH, ODD_LOT, AUCTION = 1, 2, 3, 4, 6, 7
BUY, SELL, NEUTRAL = 1, 2, 3


class Tick(NamedTuple):
    """A tick, with what bars look at."""

    symbol: str
    seq: int
    ts_ms: int
    price: float
    volume: int
    turnover: float
    direction: int
    type: int


def at(clock: str, day: str = DAY) -> int:
    """The UTC epoch ms of `09:30`, `09:30:05` or `09:30:05.123` in Hong Kong."""
    hour, minute, second = ([*clock.split(":"), "0"])[:3]
    return day_begin_ms(day) + round((int(hour) * 3600 + int(minute) * 60 + float(second)) * 1000)


def tick(
    clock: str,
    price: float = 100.0,
    volume: int = 100,
    *,
    type: int = AUTO_MATCH,  # noqa: A002 - as the column is called
    direction: int = NEUTRAL,
    seq: int | None = None,
    symbol: str = "HK.00700",
    day: str = DAY,
) -> Tick:
    """One tick; its sequence is that of its time, unless it is told."""
    ts_ms = at(clock, day)
    return Tick(symbol, ts_ms if seq is None else seq, ts_ms, price, volume, price * volume, direction, type)


def day_of(tick: Tick) -> str:
    """Its Hong Kong day."""
    return hk_day(tick.ts_ms)


def in_order(ticks: Iterable[Tick]) -> list[Tick]:
    """By day, symbol and sequence, as the read API gives them. Of equal keys, the first stays, as in a database."""
    kept = {(day_of(tick), tick.symbol, tick.seq): tick for tick in reversed(list(ticks))}
    return [kept[key] for key in sorted(kept)]


def batches_of(ticks: Iterable[Tick], cuts: Sequence[int] = ()) -> list[Any]:
    """RecordBatches of ticks, cut at these places, each with a dictionary of its own."""
    ordered = in_order(ticks)
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(ordered)}), len(ordered)]
    return [_batch(ordered[begin:end]) for begin, end in pairwise(places) if end > begin]


def _batch(ticks: list[Tick]) -> Any:  # noqa: ANN401
    runs, packed = [], b""
    for symbol, some in groupby(ticks, key=lambda tick: tick.symbol):
        rows = [
            (t.seq, t.ts_ms, t.price, t.volume, t.turnover, t.direction, t.type, 0, 1, t.ts_ms + 120, t.ts_ms + 250)
            for t in some
        ]
        runs.append((symbol, len(rows)))
        packed += pack_rows(symbol, rows)
    return batch_of(runs, packed)


# ---- a naive reference of bars


def naive_session(sessions: Sequence[Session], tick: Tick) -> int:
    """The number of the session that a tick belongs to."""
    begun = [number for number, session in enumerate(sessions) if tick.ts_ms >= session.begin_ms]
    number = begun[-1] if begun else 0
    if number == 1 and tick.type == AUCTION and tick.ts_ms < sessions[1].begin_ms + 60_000:
        return 0
    if number == len(sessions) - 1 and tick.type in {AUTO_MATCH, INTER_AUTO_MATCH}:
        return number - 1
    return number


def naive_bars(
    ticks: Iterable[Tick],
    *,
    sessions_of: Callable[[str], Sequence[Session]],
    step_ms: int | None = None,
    amount_of: Callable[[Tick], float] | None = None,
    amount: float = 0,
    auctions: str = "own",
    price_types: frozenset[int] | None = None,
) -> list[dict[str, Any]]:
    """Bars, tick by tick: of `step_ms`, or of `amount`; `step_ms` of a day: one bar a day."""
    found: dict[tuple[str, str, int, int], list[Tick]] = {}
    for (day, symbol), some in groupby(in_order(ticks), key=lambda tick: (day_of(tick), tick.symbol)):
        of_symbol = list(some)
        if any(tick.seq <= 0 for tick in of_symbol):
            of_symbol.sort(key=lambda tick: tick.ts_ms)
        sessions = sessions_of(day)
        last = len(sessions) - 1
        for tick in of_symbol:
            number = naive_session(sessions, tick)
            if auctions == "drop" and number in {0, last}:
                continue
            if auctions == "merge":
                number = min(max(number, 1), last - 1)
            if step_ms == DAY_MS:
                place = number = 0
            elif step_ms is not None:
                place = _place(sessions[number], tick.ts_ms, step_ms, is_auction=number in {0, last})
            else:
                before = [key for key in found if key[:3] == (day, symbol, number)]
                place = max((key[3] for key in before), default=0)
                full = sum(amount_of(one) for one in found.get((day, symbol, number, place), ()))
                place += bool(full >= amount)
            found.setdefault((day, symbol, number, place), []).append(tick)
    return [_naive_bar(key, found[key], sessions_of(key[0]), step_ms, price_types) for key in sorted(found)]


def _place(session: Session, ts_ms: int, step_ms: int, *, is_auction: bool) -> int:
    if is_auction:
        return 0
    inside = min(max(ts_ms, session.begin_ms), session.end_ms - 1)
    return (inside - session.begin_ms) // step_ms


def _naive_bar(
    key: tuple[str, str, int, int],
    ticks: list[Tick],
    sessions: Sequence[Session],
    step_ms: int | None,
    price_types: frozenset[int] | None,
) -> dict[str, Any]:
    day, symbol, number, place = key
    session, name = sessions[number], sessions[number].name
    begin_ms, end_ms = ticks[0].ts_ms, ticks[-1].ts_ms
    if step_ms == DAY_MS:
        name, begin_ms, end_ms = "day", day_begin_ms(day), sessions[-1].end_ms
    elif step_ms is not None and number in {0, len(sessions) - 1}:
        begin_ms, end_ms = session.begin_ms, session.end_ms
    elif step_ms is not None:
        begin_ms = session.begin_ms + place * step_ms
        end_ms = min(begin_ms + step_ms, session.end_ms)
    priced = [tick for tick in ticks if tick.type in (price_types or {AUTO_MATCH, INTER_AUTO_MATCH, AUCTION})]
    prices = [tick.price for tick in priced] or [None]
    shares = sum(tick.volume for tick in priced)
    return {
        "symbol": symbol,
        "time": begin_ms,
        "end": end_ms,
        "session": name,
        "open": prices[0],
        "high": max(prices, key=lambda price: price or 0),
        "low": min(prices, key=lambda price: price or 0),
        "close": prices[-1],
        "vwap": fsum(tick.turnover for tick in priced) / shares if shares else None,
        "volume": sum(tick.volume for tick in ticks),
        "turnover": fsum(tick.turnover for tick in ticks),
        "ticks": len(ticks),
        "bought": sum(tick.volume for tick in ticks if tick.direction == BUY),
        "sold": sum(tick.volume for tick in ticks if tick.direction == SELL),
        "gap": False,
    }


def as_dicts(table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a pyarrow.Table
    """The rows of a table of bars, with times as UTC epoch ms."""
    times = {name: table.column(name).cast("int64").to_pylist() for name in ("time", "end")}
    columns = {name: times.get(name) or table.column(name).to_pylist() for name in table.schema.names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def hk_clock(ts_ms: int) -> str:
    """`09:30:00`."""
    second = (ts_ms + HK_OFFSET_MS) % DAY_MS // 1000
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"

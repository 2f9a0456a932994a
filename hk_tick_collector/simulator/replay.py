"""A recorded market: replays the pushes of a journal in their original order and at their original pace.

Owns its position in the journal and the running totals. Each trade has exactly the content that OpenD sent, so an
incident can be replayed repeatedly, and faster than it happened. Never makes a trade of its own: its sequence would not
be real.

Invariant: each (symbol, sequence) comes once, with the content that was pushed first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.errors import BadTickError, ConfigError
from hk_tick_collector.hktime import hk_date, hk_midnight_ms, parse_time
from hk_tick_collector.journal.segments import Kind, Record, iter_records, list_segments
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.frames import split_run
from hk_tick_collector.opend.market import MarketState
from hk_tick_collector.opend.messages import DecodeError, parse_tickers
from hk_tick_collector.simulator import sessions
from hk_tick_collector.simulator.calendar import DayKind, day_kind
from hk_tick_collector.simulator.market import Market
from hk_tick_collector.simulator.tape import AUTO_MATCH, MadeTick, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class ReplayMarket(Market):
    """The ticks of `DATA_ROOT/journal`, each at the time it was received.

    Attributes:
        start_ts_ms: when the first record was received, UTC epoch ms; the simulated clock begins there.
    """

    def __init__(self, journal: Path, *, uncounted: frozenset[int] = frozenset()) -> None:
        """Scan the journal once for its symbols. `uncounted` types of ticks are not in the totals.

        Raises:
            ConfigError: there is no journal, or no push in it.
        """
        if not list_segments(journal):
            raise ConfigError(f"no journal in {journal}: expected the directory DATA_ROOT/journal of a recorder")
        counts: dict[str, int] = {}
        first: Record | None = None
        for record, ticks in _pushed(journal):
            first = first or record
            for tick in ticks:
                counts[tick.symbol] = counts.get(tick.symbol, 0) + 1
        if first is None or not counts:
            raise ConfigError(f"the journal in {journal} has no ticker push")
        super().__init__(
            sorted(counts, key=lambda symbol: -counts[symbol]), seed=0, ordinals="contiguous", uncounted=uncounted
        )
        self.start_ts_ms = first.recv_ts_ms
        self._seen: set[tuple[str, int]] = set()
        self._totals = {symbol: Totals(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 1, None) for symbol in counts}
        self._records = _pushed(journal)
        self._next = next(self._records, None)

    @property
    def done(self) -> bool:
        """Whether the journal's last push was returned."""
        return self._next is None

    def ticks_until(self, ts_ms: int) -> list[MadeTick]:
        """The ticks received by `ts_ms` and not yet returned."""
        made: list[MadeTick] = []
        while self._next is not None and self._next[0].recv_ts_ms <= ts_ms:
            for tick in self._next[1]:
                key = (tick.symbol, tick.seq)
                if key not in self._seen:
                    self._seen.add(key)
                    counts = self.counts(tick.tick_type)
                    self._totals[tick.symbol] = _added(self._totals[tick.symbol], tick, counts=counts)
                    made.append(tick)
            self._next = next(self._records, None)
        return made

    def skip_to(self, ts_ms: int) -> None:
        """Skip the ticks received before `ts_ms`."""
        self.ticks_until(ts_ms - 1)

    def state_at(self, ts_ms: int) -> int:
        """The market state that OpenD reports at that time, by the calendar."""
        kind = day_kind(hk_date(ts_ms))
        if kind is None:
            return MarketState.CLOSED
        second = (ts_ms - hk_midnight_ms(ts_ms)) // 1000
        return sessions.state_at(second, half_day=kind is DayKind.MORNING)

    def totals(self, symbol: str) -> Totals:
        """A symbol's totals over the recording so far; ValueError if the symbol is not in the journal."""
        if symbol not in self._totals:
            raise ValueError(f"symbol {symbol!r} is not in this journal")
        return self._totals[symbol]

    def correct(self, symbol: str, volume: int, turnover: float) -> None:
        """Add to a symbol's totals, or subtract from them (shares, HK$)."""
        totals = self.totals(symbol)
        self._totals[symbol] = totals._replace(volume=totals.volume + volume, turnover=totals.turnover + turnover)

    def make(
        self,
        symbol: str,
        ts_ms: int,
        *,
        price: float | None = None,
        volume: int | None = None,
        tick_type: int = AUTO_MATCH,
    ) -> MadeTick:
        """Raise ValueError: a recorded market makes no ticks of its own."""
        raise ValueError(
            f"a replayed journal makes no tick of its own ({symbol} at {ts_ms}, {price}, {volume}, {tick_type})"
        )

    def burst(self, ticks: int, ts_ms: int, symbols: Sequence[str] = ()) -> list[MadeTick]:
        """Raise ValueError: a recorded market makes no ticks of its own."""
        raise ValueError(f"a replayed journal makes no ticks of its own ({ticks} at {ts_ms}, {len(symbols)} symbols)")


def _pushed(journal: Path) -> Iterator[tuple[Record, list[MadeTick]]]:
    """Each record that holds pushes, with their ticks; a body's ticks from the first invalid one on are skipped."""
    for record in iter_records(journal):
        if record.kind != Kind.FRAMES:
            continue
        ticks = [tick for body in split_run(record.payload).pushes for tick in _ticks(body)]
        if ticks:
            yield record, ticks


def _ticks(body: bytes) -> Iterator[MadeTick]:
    try:
        s2c = parse_tickers(body).s2c
        symbol = symbol_of(s2c.security.market, s2c.security.code)
        for t in s2c.tickerList:
            ts_ms = parse_time(t.time).ms
            yield MadeTick(symbol, t.sequence, ts_ms, t.time, t.price, t.volume, t.turnover, t.dir, t.type)
    except (DecodeError, BadTickError):
        return


def _added(totals: Totals, tick: MadeTick, *, counts: bool) -> Totals:
    """The totals after one more tick; `counts`: whether volume and turnover include it."""
    return totals._replace(
        volume=totals.volume + tick.volume * counts,
        turnover=totals.turnover + tick.turnover * counts,
        last_price=tick.price,
        open=totals.open or tick.price,
        high=max(totals.high, tick.price),
        low=min(totals.low or tick.price, tick.price),
        ticks=totals.ticks + 1,
        last_ts_ms=tick.ts_ms,
    )

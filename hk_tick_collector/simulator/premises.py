"""The wrong answers of OpenD: each premise that a recorder relies on can be broken on command.

Owns which premises are broken now and what a reply then contains; `premise_faults` has the commands. Each broken
premise counts the rows or replies that it changed, so that a test knows that its fault happened. Never changes the
market itself, its trades or its totals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from hk_tick_collector.simulator import wire
from hk_tick_collector.simulator.calendar import DayKind, trade_dates
from hk_tick_collector.simulator.history import TotalsHistory

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from hk_tick_collector.simulator.market import Market
    from hk_tick_collector.simulator.shaping import Armed
    from hk_tick_collector.simulator.tape import Totals

_ORDINAL_BITS = 32


@dataclass(slots=True)
class Late:
    """Snapshot rows that are `sec` seconds old, by the market's clock.

    Attributes:
        sec: how old.
        share: of the rows, from 0 to 1.
        symbols: only these; empty: all.
        hides: whether the update time is the current one.
        told: rows that differed from the truth.
    """

    sec: float
    share: float
    symbols: frozenset[str]
    hides: bool
    told: int = 0


@dataclass(slots=True)
class Frozen:
    """Totals from when the fault began; `told` counts the rows that differed from the truth, or the trades missed."""

    totals: dict[str, Totals]
    told: int = 0


@dataclass(slots=True)
class Low:
    """The next rows report a volume that is too low: `volume`, or `by` shares too few; turnover in proportion."""

    armed: Armed
    symbols: frozenset[str]
    volume: int | None
    by: int

    def told(self, symbol: str, totals: Totals) -> Totals:
        """What a row reports. A row that would not be lower stays as it is and does not count."""
        volume = totals.volume - self.by if self.volume is None else self.volume
        if (self.symbols and symbol not in self.symbols) or not 0 <= volume < totals.volume:
            return totals
        self.armed.touch()
        return totals._replace(volume=volume, turnover=round(totals.turnover * volume / totals.volume, 3))


@dataclass(slots=True)
class Refused:
    """A snapshot call with any of these symbols is refused as a whole; `told` counts the refusals."""

    symbols: frozenset[str]
    told: int = 0


@dataclass(slots=True)
class Renumbered:
    """Each GetTicker reply numbers its own ticks from 1; `told` counts the replies."""

    told: int = 0


@dataclass(slots=True)
class Holes:
    """GetTicker leaves out `ticks` ticks of each reply; `told` counts the ticks left out."""

    ticks: int
    symbols: frozenset[str]
    told: int = 0


@dataclass(slots=True)
class WrongClock:
    """GetGlobalState's time is off by `offset_sec`, and may be in ms; `told` counts the replies."""

    offset_sec: int
    in_ms: bool
    told: int = 0


@dataclass(slots=True)
class WrongState:
    """The reported market state, whatever the real one is; `told` counts the replies."""

    state: int
    told: int = 0


@dataclass(slots=True)
class Calendar:
    """Dates that are reported with a wrong kind; None: no trading. `told` counts the wrong dates in replies."""

    kinds: dict[dt.date, DayKind | None] = field(default_factory=dict)
    told: int = 0


class Premises:
    """The broken premises of one simulator."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._random = Random(0)
        self.history = TotalsHistory(market)
        self.without_exchange: Frozen | None = None  # OpenD receives nothing and does not notice
        self.late: Late | None = None
        self.frozen: Frozen | None = None
        self.low: Low | None = None
        self.refused: Refused | None = None
        self.renumbered: Renumbered | None = None
        self.holes: Holes | None = None
        self.clock: WrongClock | None = None
        self.state: WrongState | None = None
        self.calendar = Calendar()

    def all_totals(self) -> dict[str, Totals]:
        """The true totals of all symbols now."""
        return {symbol: self._market.totals(symbol) for symbol in self._market.symbols}

    def missed(self, trades: int) -> None:
        """Count trades that did not reach OpenD."""
        if self.without_exchange is not None:
            self.without_exchange.told += trades

    # ---- snapshots

    def quote(self, symbol: str) -> Totals:
        """What a quote from OpenD's cache reports."""
        return self._market.totals(symbol) if self.without_exchange is None else self.without_exchange.totals[symbol]

    def snapshot(self, symbol: str, now_ms: int) -> Totals:
        """What a snapshot's row reports; `last_ts_ms` is its update time."""
        truth = self._market.totals(symbol)
        totals = self.quote(symbol)
        if self.frozen is not None:
            totals = self.frozen.totals[symbol]
            self.frozen.told += totals != truth
        elif self.late is not None:
            totals = self._late(self.late, symbol, truth, now_ms)
        low = self.low
        if low is not None:
            totals = low.told(symbol, totals)
            if low.armed.left <= 0:
                self.low = None
        return totals

    def refused_code(self, symbols: Iterable[str]) -> str | None:
        """The first symbol for which a snapshot is refused; None: it is not refused."""
        if self.refused is None:
            return None
        code = next((symbol for symbol in symbols if symbol in self.refused.symbols), None)
        self.refused.told += code is not None
        return code

    def _late(self, late: Late, symbol: str, truth: Totals, now_ms: int) -> Totals:
        if (late.symbols and symbol not in late.symbols) or self._random.random() >= late.share:
            return truth
        totals = self.history.at(symbol, now_ms - round(late.sec * 1000))
        late.told += totals != truth
        return totals._replace(last_ts_ms=truth.last_ts_ms) if late.hides else totals

    # ---- GetTicker

    def window(self, symbol: str, entries: list[bytes]) -> list[bytes]:
        """What GetTicker returns of these ticks."""
        holes = self.holes
        if holes is not None and (not holes.symbols or symbol in holes.symbols):
            inner = range(1, len(entries) - 1)  # a recorder looks at the first and the last
            gone = set(self._random.sample(inner, min(holes.ticks, len(inner))))
            entries = [entry for n, entry in enumerate(entries) if n not in gone]
            holes.told += len(gone)
        if self.renumbered is not None:
            self.renumbered.told += 1
            entries = [_under(entry, ordinal) for ordinal, entry in enumerate(entries, 1)]
        return entries

    # ---- the clock, the calendar, the state

    def global_time(self, now_ms: int) -> int:
        """The time in GetGlobalState's reply."""
        clock = self.clock
        if clock is None:
            return now_ms // 1000
        clock.told += 1
        told_ms = now_ms + clock.offset_sec * 1000
        return told_ms if clock.in_ms else told_ms // 1000

    def market_state(self, now_ms: int) -> int:
        """The market state that OpenD reports."""
        if self.state is None:
            return self._market.state_at(now_ms)
        self.state.told += 1
        return self.state.state

    def trade_dates(self, begin: dt.date, end: dt.date) -> list[tuple[dt.date, DayKind]]:
        """Trade dates from `begin` to `end`, both included, in order, as RequestTradeDate reports them."""
        dates = dict(trade_dates(begin, end))
        for date, kind in self.calendar.kinds.items():
            if begin <= date <= end:
                self.calendar.told += 1
                dates.pop(date, None)
                if kind is not None:
                    dates[date] = kind
        return sorted(dates.items())


def _under(entry: bytes, ordinal: int) -> bytes:
    """A tick with another ordinal in its sequence."""
    ticker = wire.ticker_of(entry)
    ticker.sequence = ticker.sequence >> _ORDINAL_BITS << _ORDINAL_BITS | ordinal
    return wire.entry_of_ticker(ticker, wire.kind_of(entry))

"""What the totals were a while ago: for snapshots that come late.

Owns the totals of each symbol at the ends of the last half seconds in which it traded, by the market's clock. Bounded:
so many half seconds a symbol, and nothing for one that does not trade.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.simulator.market import Market
    from hk_tick_collector.simulator.tape import Totals

REACHES_SEC: Final = 120
_GRAIN_MS: Final = 500
_GRAINS: Final = REACHES_SEC * 1000 // _GRAIN_MS


class TotalsHistory:
    """The last two minutes of every symbol's totals."""

    def __init__(self, market: Market) -> None:
        self._market = market
        # Each is (half second since 1970, totals at its end); the first is also true of all time before it.
        self._past: dict[str, deque[tuple[int, Totals]]] = {
            symbol: deque([(0, market.totals(symbol))]) for symbol in market.symbols
        }
        self._day = 0

    def changed(self, symbols: Iterable[str], now_ms: int) -> None:
        """The totals of these have changed just now."""
        grain = now_ms // _GRAIN_MS
        for symbol in symbols:
            past, totals = self._past[symbol], self._market.totals(symbol)
            if past[-1][0] >= grain:  # the same half second, or the clock was set back
                past[-1] = (past[-1][0], totals)
                continue
            past.append((grain, totals))
            while past[1][0] < grain - _GRAINS:
                past.popleft()

    def come_to(self, now_ms: int) -> None:
        """Time has come to `now_ms`: with a new day all totals may have begun anew, whether there are trades or not."""
        day = (now_ms + HK_OFFSET_MS) // DAY_MS
        if day != self._day:
            self._day = day
            self.changed(self._past, now_ms)

    def at(self, symbol: str, ts_ms: int) -> Totals:
        """The totals as they were at `ts_ms`, or up to half a second before; never younger ones."""
        grain, past = ts_ms // _GRAIN_MS, self._past[symbol]
        return next((totals for since, totals in reversed(past) if since < grain), past[0][1])

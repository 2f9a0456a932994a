"""Past totals, for snapshots that are late.

Owns each symbol's totals at the end of every half second in which it traded, by the market's clock. Bounded: about
240 half seconds per symbol, and one entry for a symbol that does not trade.
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
        # (half seconds since 1970, totals at the end of that one); the first entry also holds for all time before it.
        self._past: dict[str, deque[tuple[int, Totals]]] = {
            symbol: deque([(0, market.totals(symbol))]) for symbol in market.symbols
        }
        self._day = 0

    def changed(self, symbols: Iterable[str], now_ms: int) -> None:
        """Record that the totals of these symbols have just changed."""
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
        """Advance to `now_ms`. On a new day, record all totals: they may have been reset without a trade."""
        day = (now_ms + HK_OFFSET_MS) // DAY_MS
        if day != self._day:
            self._day = day
            self.changed(self._past, now_ms)

    def at(self, symbol: str, ts_ms: int) -> Totals:
        """The totals at `ts_ms`, or up to half a second earlier; never later."""
        grain, past = ts_ms // _GRAIN_MS, self._past[symbol]
        return next((totals for since, totals in reversed(past) if since < grain), past[0][1])

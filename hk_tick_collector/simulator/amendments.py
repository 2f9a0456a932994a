"""Trades that change after they were made: sent again with different content, or removed from the exchange's totals.

Owns what the totals count for each changed trade. OpenD's cache keeps the original content. The ledger gets a line for
each content that is sent and for each change of the totals.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import CommandError
from hk_tick_collector.hktime import hk_date
from hk_tick_collector.opend.numbers import PushDataType
from hk_tick_collector.simulator import wire
from hk_tick_collector.simulator.lasting import COUNT_MAX
from hk_tick_collector.simulator.opend import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.opend.opend_pb2 import Ticker
    from hk_tick_collector.simulator.fields import Fields
    from hk_tick_collector.simulator.lasting import Lasting
    from hk_tick_collector.simulator.ledger import Key
    from hk_tick_collector.simulator.opend import SimulatedOpenD
    from hk_tick_collector.simulator.server import Server

_NEWEST: Final = 50  # trades to change are taken from this many of each symbol's newest
_FACTOR_MAX: Final = 1000.0


class Amendments:
    """The commands that change trades."""

    def __init__(self, server: Server, lasting: Lasting) -> None:
        self._opend: SimulatedOpenD = server.opend
        self._lasting = lasting
        self._random = Random(0)
        self._counted: dict[Key, tuple[int, float]] = {}  # (volume, turnover) in the totals, if changed

    async def revise(self, fields: Fields) -> dict[str, Any]:
        """Send `n` already-pushed ticks again: same sequence, different content.

        The price changes and the volume grows by 100 shares; with `volume_factor`, the volume is multiplied and the
        price stays. With `counted` "first" the totals keep the original content, with "last" they follow the new one.
        """
        count = fields.integer("n", 1, low=1, high=COUNT_MAX)
        factor = fields.number("volume_factor", low=0, high=_FACTOR_MAX) if fields.has("volume_factor") else None
        follow = fields.choice("counted", ("first", "last"), "content: first or last", "first") == "last"
        symbols = fields.symbols("symbols", self._opend.caches)
        fields.finish()
        self._expect_exchange()
        found = []
        for symbol, ticker in self._recent(symbols, pushed=True):
            revised = _revised(ticker, factor)
            if revised is not None and (not follow or self._is_counted(ticker)):
                found.append((symbol, revised))
        if len(found) < count:
            raise CommandError(f"{count} ticks to revise, but only {len(found)} recent ones were pushed to anybody")
        some = self._random.sample(found, count)
        for symbol, ticker in some:
            if follow:
                self._count(symbol, ticker)
        self._send_again(some)
        return self._lasting.applied("revise", count)

    async def cancel(self, fields: Fields) -> dict[str, Any]:
        """Remove `n` of today's trades from the totals; if `told`, send them again with a volume of 0."""
        count = fields.integer("n", 1, low=1, high=COUNT_MAX)
        told = fields.flag("told", default=True)
        symbols = fields.symbols("symbols", self._opend.caches)
        fields.finish()
        if told:
            self._expect_exchange()
        found = [
            (symbol, ticker)
            for symbol, ticker in self._recent(symbols, pushed=told)
            if self._is_counted(ticker) and self._counted.get((symbol, ticker.sequence)) != (0, 0.0)
        ]
        if len(found) < count:
            raise CommandError(f"{count} trades to cancel, but only {len(found)} recent ones are there for it")
        some = self._random.sample(found, count)
        for symbol, ticker in some:
            ticker.volume, ticker.turnover = 0, 0.0
            self._count(symbol, ticker)
        if told:
            self._send_again(some)
        return self._lasting.applied("cancel", count, told=told)

    def _recent(self, symbols: tuple[str, ...], *, pushed: bool) -> Iterator[tuple[str, Ticker]]:
        """The newest ticks of OpenD's cache; with `pushed`, only those that were pushed to a client."""
        for symbol in self._opend.watched() if pushed else self._opend.caches:
            if not symbols or symbol in symbols:
                for entry in list(self._opend.caches[symbol])[-_NEWEST:]:
                    if not pushed or wire.kind_of(entry) is not PushDataType.CACHE:
                        yield symbol, wire.ticker_of(entry)

    def _is_counted(self, ticker: Ticker) -> bool:
        """Whether today's totals include this trade."""
        is_of_today = hk_date(round(ticker.timestamp * 1000)) == hk_date(self._opend.clock.now_ms)
        return is_of_today and self._opend.market.counts(ticker.type)

    def _count(self, symbol: str, ticker: Ticker) -> None:
        """Make the totals count a trade with this content from now on, and record that in the ledger."""
        opend, key = self._opend, (symbol, ticker.sequence)
        if key in self._counted:
            volume, turnover = self._counted[key]
        else:
            made = next(t for t in map(wire.ticker_of, opend.caches[symbol]) if t.sequence == ticker.sequence)
            volume, turnover = made.volume, made.turnover
        opend.market.correct(symbol, ticker.volume - volume, ticker.turnover - turnover)
        self._counted[key] = (ticker.volume, ticker.turnover)
        opend.premises.history.changed([symbol], opend.clock.now_ms)
        opend.ledger.note("c", s=symbol, q=ticker.sequence, v=ticker.volume, o=ticker.turnover)

    def _send_again(self, tickers: list[tuple[str, Ticker]]) -> None:
        """Push new content under the original sequences."""
        for symbol, ticker in tickers:
            self._opend.ledger.note(
                "r", s=symbol, q=ticker.sequence, p=ticker.price, v=ticker.volume, o=ticker.turnover
            )
        self._opend.ledger.flush()
        entries = [(symbol, wire.entry_of_ticker(ticker, PushDataType.REALTIME)) for symbol, ticker in tickers]
        self._opend.tell(self._opend.pushes_of(entries))

    def _expect_exchange(self) -> None:
        if self._opend.upstream is Upstream.FROZEN:
            raise CommandError("OpenD does not hear the exchange just now")


def _revised(ticker: Ticker, factor: float | None) -> Ticker | None:
    """The tick with its new content; None: its volume would not change."""
    volume = ticker.volume
    if factor is None:
        ticker.price = round(ticker.price * 1.01 + 0.01, 3)
        ticker.volume += 100
    else:
        ticker.volume = round(ticker.volume * factor)
    ticker.turnover = round(ticker.price * ticker.volume, 3)
    return ticker if ticker.volume != volume else None

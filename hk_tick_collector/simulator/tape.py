"""Individual trades: prices that walk on the spread table, volumes in board lots, sequences, running totals.

Owns each symbol's book of the day and all randomness within a trade. Does not decide when trades happen: `market` does.

Invariant: a trade's content depends on the seed and on the earlier trades, never on how many trades one call makes. So
one random source picks symbols and another makes trades.

An HK sequence reads as `epoch_seconds << 32 | ordinal`. Only a live OpenD can show whether ordinals are contiguous, so
there is a mode for each case:

- contiguous: 1, 2, 3, … for each symbol and day, as in two of three published pairs.
- sparse: ordinals rise by random steps, and the seconds in the sequence are sometimes up to 2 s before the trade's, as
  in the third pair (15:15:19 with 15:15:17 in its sequence).
- none: small integers that contain no time, as in other markets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.simulator.prices import spread_mil, step_down_mil, step_up_mil
from hk_tick_collector.simulator.sessions import hk_time
from hk_tick_collector.simulator.universe import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

Ordinals = Literal["contiguous", "sparse", "none"]

TimeForm = Literal["seconds", "fraction", "colon"]
"""How a tick's time is written: '09:30:00', '09:30:00.123' or '09:30:00:123'."""

_BEFORE_MS: Final[dict[TimeForm, str]] = {"fraction": ".", "colon": ":"}

# Qot_Common.TickerDirection
BUY: Final = 1
SELL: Final = 2
NEUTRAL: Final = 3

# Qot_Common.TickerType
AUTO_MATCH: Final = 1
LATE: Final = 2
NON_AUTO_MATCH: Final = 3
INTER_AUTO_MATCH: Final = 4
INTER_NON_AUTO_MATCH: Final = 5
ODD_LOT: Final = 6
AUCTION: Final = 7
OVERSEAS: Final = 31

TYPES: Final = {name: number for number, name in TICK_TYPES.items()}

# Cumulative shares of ordinary trades by side; above the last, trades that are not automatic matches of board lots.
_BUYS = 0.46
_SELLS = 0.92
_AUTO_MATCHES = 0.975
_SPECIALS = (ODD_LOT, INTER_AUTO_MATCH, LATE, NON_AUTO_MATCH, INTER_NON_AUTO_MATCH, OVERSEAS)
_SPECIAL_WEIGHTS = (60, 24, 8, 4, 3, 1)

_MOVES = 0.12  # share of trades after which the quote moves by one step
_RANGE_LOW, _RANGE_HIGH = 0.85, 1.18  # of the previous close; the walk turns around there

# The symbol of rank r (from 1) has weight 1 / (r + 4): Zipf's law with a flat head. The busiest of 900 makes 3.8 %.
_FLAT_HEAD = 4

_SPARSE_STEP_MAX = 4
_SPARSE_LAGS_SEC = (0, 0, 0, 0, 0, 0, 0, 1, 1, 2)


class MadeTick(NamedTuple):
    """One trade as the exchange made it.

    Attributes:
        symbol: 'HK.00700'.
        seq: OpenD's sequence.
        ts_ms: UTC epoch milliseconds; whole seconds as in published HK ticks, unless `TimeForm` adds milliseconds.
        time: the same as OpenD writes it, in Hong Kong time: '2026-11-20 09:30:00'; see `TimeForm`.
        price: Hong Kong dollars, on the spread table.
        volume: shares.
        turnover: Hong Kong dollars; price times volume to the thousandth.
        direction: 1 buy, 2 sell, 3 neutral.
        tick_type: Qot_Common.TickerType.
    """

    symbol: str
    seq: int
    ts_ms: int
    time: str
    price: float
    volume: int
    turnover: float
    direction: int
    tick_type: int


class Totals(NamedTuple):
    """A symbol's day so far, as a snapshot reports it: what was made, whether OpenD received it or not.

    Volume in shares, turnover and prices in Hong Kong dollars. Before the first trade `last_price` is the previous
    close, and open, high and low are 0. `ticks` counts trades; `lot_size` is in shares. `last_ts_ms` is the time of the
    last trade, even one of an earlier day; None: there was none.
    """

    volume: int
    turnover: float
    last_price: float
    open: float
    high: float
    low: float
    prev_close: float
    ticks: int
    lot_size: int
    last_ts_ms: int | None


@dataclass(slots=True)
class Book:
    """One symbol's day so far; prices and turnover in mils."""

    symbol: str
    lot_size: int
    prev_close: int
    bid: int
    low_end: int
    high_end: int
    ordinal: int = 0
    stamp_sec: int = 0
    last_sec: int | None = None
    last_ms: int = 0  # within `last_sec`
    ticks: int = 0
    volume: int = 0
    turnover: int = 0
    last: int = 0
    open: int = 0
    high: int = 0
    low: int = 0

    def new_day(self) -> None:
        """Reset for a new day; the price continues where it is."""
        self.prev_close = self.last or self.prev_close
        self.low_end, self.high_end = int(self.prev_close * _RANGE_LOW), int(self.prev_close * _RANGE_HIGH)
        self.ticks = self.volume = self.turnover = self.last = self.open = self.high = self.low = 0


class Tape:
    """Makes trades on demand, for a fixed set of symbols, busiest first."""

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int | str,
        ordinals: Ordinals,
        uncounted: frozenset[int] = frozenset(),
        time_form: TimeForm = "seconds",
        usual_types: bool = False,
    ) -> None:
        """Open the books.

        Args:
            symbols: busiest first.
            seed: the same seed makes the same trades.
            ordinals: what sequences look like.
            uncounted: types of ticks that are not in the totals.
            time_form: how times are written.
            usual_types: make no types but automatic matches, odd lots and auctions.

        Raises:
            ConfigError: no symbols, or a duplicate.
        """
        self.symbols = tuple(symbols)
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ConfigError(
                f"{len(set(self.symbols))} different symbols of {len(self.symbols)}, expected all, and one"
            )
        self._ordinals = ordinals
        self._uncounted = uncounted
        self._specials = _SPECIALS[:1] if usual_types else _SPECIALS
        self._before_ms = _BEFORE_MS.get(time_form)
        self._trades = random.Random(f"{seed}:trades")
        self._random = self._trades.random
        self._picks = random.Random(f"{seed}:picks")
        self._books = {symbol: _open_book(symbol, seed) for symbol in self.symbols}
        self._ranked = list(self._books.values())
        ranks = range(1, len(self.symbols) + 1)
        self._cum_weights = list(accumulate(1 / (rank + _FLAT_HEAD) for rank in ranks))

    def totals(self, symbol: str) -> Totals:
        """A symbol's day so far; ValueError if this market does not have the symbol."""
        book = self._book(symbol)
        return Totals(
            volume=book.volume,
            turnover=book.turnover / 1000,
            last_price=(book.last or book.prev_close) / 1000,
            open=book.open / 1000,
            high=book.high / 1000,
            low=book.low / 1000,
            prev_close=book.prev_close / 1000,
            ticks=book.ticks,
            lot_size=book.lot_size,
            last_ts_ms=None if book.last_sec is None else book.last_sec * 1000 + book.last_ms,
        )

    def counts(self, tick_type: int) -> bool:
        """Whether ticks of this type are in the totals."""
        return tick_type not in self._uncounted

    def correct(self, symbol: str, volume: int, turnover: float) -> None:
        """Add to a symbol's totals of the day, or subtract (shares, HK$); its last trade stays unchanged."""
        book = self._book(symbol)
        book.volume += volume
        book.turnover += round(turnover * 1000)

    def come_to(self, ts_ms: int) -> None:
        """Advance to `ts_ms`, even without trades. A market of a single day ignores it."""

    def make(
        self,
        symbol: str,
        ts_ms: int,
        *,
        price: float | None = None,
        volume: int | None = None,
        tick_type: int = AUTO_MATCH,
    ) -> MadeTick:
        """Make one unscheduled trade at `ts_ms` (cut to its second). A given price may be off the spread table.

        Raises:
            ValueError: this market does not have the symbol, or the price or the volume is not positive.
        """
        book = self._book(symbol)
        second = ts_ms // 1000
        price_mil = book.bid if price is None else round(price * 1000) if isfinite(price) else 0
        shares = book.lot_size if volume is None else volume
        if price_mil <= 0 or shares <= 0:
            raise ValueError(f"price {price} and volume {volume}, expected both to be above zero")
        self.come_to(ts_ms)
        return self._print(book, second, hk_time(second), price_mil, shares, NEUTRAL, tick_type)

    def burst(self, ticks: int, ts_ms: int, symbols: Sequence[str] = ()) -> list[MadeTick]:
        """Make unscheduled trades at `ts_ms`, evenly over the given symbols, or over all with the usual skew.

        Raises:
            ValueError: this market does not have one of the symbols.
        """
        some = [self._book(symbol) for symbol in symbols]
        self.come_to(ts_ms)
        books = self._picks.choices(some, k=ticks) if some else self._pick(ticks)
        second = ts_ms // 1000
        time = hk_time(second)
        return [self._trade(book, second, time) for book in books]

    def _book(self, symbol: str) -> Book:
        book = self._books.get(symbol)
        if book is None:
            raise ValueError(f"symbol {symbol!r} is not one of this market's {len(self.symbols)}")
        return book

    def _pick(self, n: int) -> list[Book]:
        """The symbols of the next `n` trades; the same however many one call asks for."""
        return self._picks.choices(self._ranked, cum_weights=self._cum_weights, k=n)

    def _new_day(self, second: int) -> None:
        """Start a day at `second`.

        Ordinals restart, except in mode "none": without a time in the sequence, two days would share a key.
        """
        for book in self._ranked:
            book.new_day()
            if self._ordinals != "none":
                book.ordinal = 0
                book.stamp_sec = second

    def _trade(self, book: Book, second: int, time: str) -> MadeTick:
        """An ordinary trade: mostly board lots, bought at the ask or sold at the bid."""
        side = self._random()
        bid = book.bid
        # A heavy tail with an end: one lot in two of three trades, at most 630.
        volume = book.lot_size * int((1.0 - 0.9999 * self._random()) ** -0.7)
        if side < _BUYS:
            price, direction, tick_type = bid + spread_mil(bid), BUY, AUTO_MATCH
        elif side < _SELLS:
            price, direction, tick_type = bid, SELL, AUTO_MATCH
        elif side < _AUTO_MATCHES:
            price, direction, tick_type = bid, NEUTRAL, AUTO_MATCH
        else:
            tick_type = self._trades.choices(self._specials, _SPECIAL_WEIGHTS[: len(self._specials)])[0]
            if tick_type == ODD_LOT:
                return self._odd_lot(book, second, time)
            price, direction = bid, NEUTRAL
        move = self._random()
        if move < _MOVES:
            upwards = move < _MOVES / 2 if book.low_end < bid < book.high_end else bid <= book.low_end
            book.bid = step_up_mil(bid) if upwards else step_down_mil(bid)
        return self._print(book, second, time, price, volume, direction, tick_type)

    def _odd_lot(self, book: Book, second: int, time: str) -> MadeTick:
        volume = 1 + int(self._random() * (book.lot_size - 1))
        return self._print(book, second, time, book.bid, volume, NEUTRAL, ODD_LOT)

    def _auction(self, book: Book, second: int, time: str) -> MadeTick:
        """An auction's single print, far larger than a normal trade."""
        volume = book.lot_size * (10 + int(self._random() * 5000))
        return self._print(book, second, time, book.bid, volume, NEUTRAL, AUCTION)

    def _print(
        self, book: Book, second: int, time: str, price: int, volume: int, direction: int, tick_type: int
    ) -> MadeTick:
        """Put a trade on the tape: assign its sequence and update the running totals.

        Times never go backwards, as in all published rows: a trade due before a burst but made after it gets the
        burst's second.
        """
        if book.last_sec is not None and second < book.last_sec:
            second, time = book.last_sec, hk_time(book.last_sec)
        turnover = price * volume
        if not book.ticks:
            book.open = book.high = book.low = price
        elif price > book.high:
            book.high = price
        elif price < book.low:
            book.low = price
        book.last = price
        if self._before_ms is not None:
            book.last_ms = _next_ms(book, second)
            time = f"{time}{self._before_ms}{book.last_ms:03}"
        book.last_sec = second
        book.ticks += 1
        if tick_type not in self._uncounted:
            book.volume += volume
            book.turnover += turnover
        return MadeTick(
            book.symbol,
            self._sequence(book, second),
            second * 1000 + book.last_ms,
            time,
            price / 1000,
            volume,
            turnover / 1000,
            direction,
            tick_type,
        )

    def _sequence(self, book: Book, second: int) -> int:
        if self._ordinals == "sparse":
            book.ordinal += self._trades.randint(1, _SPARSE_STEP_MAX)
            # Never backwards: each symbol's sequences rise in all published rows.
            book.stamp_sec = max(book.stamp_sec, second - self._trades.choice(_SPARSE_LAGS_SEC))
            return (book.stamp_sec << 32) | book.ordinal
        book.ordinal += 1
        return book.ordinal if self._ordinals == "none" else (second << 32) | book.ordinal


def _next_ms(book: Book, second: int) -> int:
    """The millisecond of a symbol's next trade: rises within a second, and starts below 10."""
    if second != book.last_sec:
        return book.ticks % 10
    return min(book.last_ms + 1 + book.ticks % 7, 999)


def _open_book(symbol: str, seed: int | str) -> Book:
    prev_close, lot_size = listing(symbol, seed)
    low_end, high_end = int(prev_close * _RANGE_LOW), int(prev_close * _RANGE_HIGH)
    return Book(symbol, lot_size, prev_close, prev_close, low_end, high_end)

"""Estimates how long an outage can still be recovered in full, from how often each symbol traded before it. Pure.

Owns the estimate, and the fetch order that follows from it. OpenD offers a symbol's last ticks and nothing older, so
each symbol has a deadline after which ticks are lost for good. The deadline is an estimate, since the trades during an
outage are not seen. Never reads a clock, and concludes nothing about what is missing: that is measured when the outage
is over.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, SATURDAY, SESSIONS_MS, hk_date, hk_midnight_ms, is_trading_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Four readings make three intervals, and the busiest counts: an opening burst is over before an average shows it.
READINGS_KEPT: Final = 4
# A symbol whose deadline is this near is fetched before all others; fetching 900 whole windows takes some seconds.
URGENT_MS: Final = 10_000


class Rates:
    """How often each symbol trades, from readings of a count that only grows within a day."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=READINGS_KEPT)
        self._known: dict[str, float] = {}
        self._first: tuple[float, Mapping[str, int]] | None = None
        self._grew_at: dict[str, float] = {}

    def take(self, at: float, rows: Mapping[str, int]) -> None:
        """Add a reading.

        Args:
            at: seconds of a clock that never goes back.
            rows: ticks so far, by symbol; {}: nothing can be read now.
        """
        if not rows:
            return
        last = self._readings[-1][1] if self._readings else {}
        if any(rows.get(symbol, 0) < count for symbol, count in last.items()):  # another day
            self.begin_anew()
            last = {}
        if self._readings:
            self._grew_at.update((symbol, at) for symbol, count in rows.items() if count > last.get(symbol, 0))
        self._readings.append((at, rows))
        self._first = self._first or self._readings[0]
        if len(self._readings) > 1:
            self._known = self._measured()

    def begin_anew(self) -> None:
        """Drop the readings: what is counted next was fetched, not traded just now. Keep the rates until new ones."""
        self._readings.clear()
        self._first = None
        self._grew_at.clear()

    def by_symbol(self) -> Mapping[str, float]:
        """Ticks per second of symbols that have traded: in the busiest recent interval, at least the average."""
        return self._known

    def unheard(self, now: float) -> dict[str, float]:
        """For symbols that have traded: how many ticks their average predicts since their count last grew."""
        average = self._average()
        return {symbol: average.get(symbol, 0.0) * (now - at) for symbol, at in self._grew_at.items()}

    def _measured(self) -> dict[str, float]:
        rates = self._average()
        for (before_at, before), (at, rows) in pairwise(self._readings):
            for symbol, count in rows.items():
                rate = (count - before.get(symbol, 0)) / max(at - before_at, 0.001)
                if rate > rates.get(symbol, 0.0):
                    rates[symbol] = rate
        return rates

    def _average(self) -> dict[str, float]:
        if self._first is None:
            return {}
        (first_at, first), (at, rows) = self._first, self._readings[-1]
        grown = {symbol: count - first.get(symbol, 0) for symbol, count in rows.items()}
        return {symbol: more / max(at - first_at, 0.001) for symbol, more in grown.items() if more > 0}


class Interruption(NamedTuple):
    """The current outage.

    Attributes:
        since_ms: the last moment at which the stream was whole, UTC epoch ms by the host's clock.
        reach: how many ticks of a symbol can be recovered when it is over.
        clock_offset_ms: OpenD's clock (Hong Kong's) less the host's.
        by_hours: whether trades happen in Hong Kong's trading hours only; a simulated or replayed market has others.
    """

    since_ms: int
    reach: int
    clock_offset_ms: int = 0
    by_hours: bool = True


class Risk(NamedTuple):
    """A symbol that trades: its ticks per second, and until when an outage can be recovered in full, UTC epoch ms."""

    symbol: str
    rate: float
    deadline_ms: int


def risks(rates: Mapping[str, float], interruption: Interruption, now_ms: int) -> list[Risk]:
    """Today's deadlines, the nearest first. A symbol that is not listed loses nothing before the close."""
    found = []
    for symbol, rate in rates.items():
        deadline_ms = _deadline_ms(interruption, interruption.reach / rate * 1000, now_ms) if rate > 0 else None
        if deadline_ms is not None:
            found.append(Risk(symbol, rate, deadline_ms))
    return sorted(found, key=lambda risk: (risk.deadline_ms, risk.symbol))


def keeps_hours(*, is_open: bool, now_ms: int) -> bool:
    """Whether the market keeps Hong Kong's hours: not if it is known to be open (`is_open`) outside of them."""
    return is_trading_time(now_ms) or not is_open


def fetch_order(
    symbols: Iterable[str],
    rates: Mapping[str, float],
    rows: Mapping[str, int],
    deadlines: Mapping[str, int],
    now_ms: int,
) -> list[str]:
    """The order in which symbols are fetched.

    Args:
        symbols: the symbols to order.
        rates: ticks per second, just before the outage.
        rows: ticks of the whole day; they decide between equal or missing rates.
        deadlines: of the symbols that have one.
        now_ms: UTC epoch ms.
    """
    # The busiest first loses the fewest ticks: all symbols are interrupted since the same moment, so the highest rate
    # has the nearest deadline, and after it loses the most per second. But a symbol that is past its deadline has a gap
    # anyway, and waiting only makes that gap larger; one whose deadline is near stays whole only if it is fetched in
    # time. So first come the symbols that could miss theirs during the backfill, then those past it, then the rest.

    def rank(symbol: str) -> tuple[bool, float, int]:
        left_ms = deadlines[symbol] - now_ms if symbol in deadlines else -1
        return not 0 <= left_ms <= URGENT_MS, -rates.get(symbol, 0.0), -rows.get(symbol, 0)

    return sorted(symbols, key=rank)


def _deadline_ms(interruption: Interruption, lasts_ms: float, now_ms: int) -> int | None:
    """The moment at which `lasts_ms` of trading time has passed; None: not before today's close."""
    since_ms, offset_ms = interruption.since_ms, interruption.clock_offset_ms
    if not interruption.by_hours:
        return since_ms + int(lasts_ms)
    clock_ms = since_ms + offset_ms
    midnight_ms = hk_midnight_ms(clock_ms)
    while midnight_ms <= now_ms + offset_ms:
        for begin, end in SESSIONS_MS if hk_date(midnight_ms).weekday() < SATURDAY else ():
            start_ms = max(clock_ms, midnight_ms + begin)
            here_ms = midnight_ms + end - start_ms
            if here_ms > 0:
                if lasts_ms <= here_ms:
                    return start_ms + int(lasts_ms) - offset_ms
                lasts_ms -= here_ms
        midnight_ms += DAY_MS
    return None

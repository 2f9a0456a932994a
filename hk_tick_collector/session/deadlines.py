"""How long an outage can still be made good, from how often each symbol traded before it. Pure.

Owns the estimate, the order of fetching that follows from it, and the words in which it is told. OpenD offers a
symbol's last ticks and nothing older, so each symbol has a moment from which on ticks are lost for good. That moment is
an estimate: nobody sees what is traded during an outage. Never looks at a clock, and concludes nothing of what is
missing: that is measured when the outage is over.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, SATURDAY, SESSIONS_MS, hk_date, hk_midnight_ms, is_trading_time
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The busiest of three intervals counts: a burst at the opening is over when the average sees it.
READINGS_KEPT: Final = 4
# A symbol whose deadline is so near is fetched before all others; to fetch 900 whole windows takes some seconds.
URGENT_MS: Final = 10_000
SHOWN_MAX: Final = 10
NAMED_MAX: Final = 3

_WORDS: Final = {
    "connection_lost": "OpenD unreachable for {} (connection lost)",
    "opend_down": "OpenD unreachable for {} (OpenD down)",
    "exchange_lost": "OpenD without the exchange for {}",
    "kicked_out": "OpenD without the quote right for {} (another login has it)",
    "journal_full": "nothing read from OpenD for {} (journal full)",
}


class Rates:
    """How often each symbol trades, from readings of a count that only grows within a day."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=READINGS_KEPT)
        self._known: dict[str, float] = {}
        self._first: tuple[float, Mapping[str, int]] | None = None
        self._grew_at: dict[str, float] = {}

    def take(self, at: float, rows: Mapping[str, int]) -> None:
        """One more reading.

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
        """What is counted next has not been traded just now: it was fetched. The rates stay until there are others."""
        self._readings.clear()
        self._first = None
        self._grew_at.clear()

    def by_symbol(self) -> Mapping[str, float]:
        """Ticks a second, of symbols that have traded: of their busiest interval lately, at least their average."""
        return self._known

    def unheard(self, now: float) -> dict[str, float]:
        """Of symbols that have traded: how many ticks should have come since one has, by their average."""
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
    """What is going on.

    Attributes:
        since_ms: the last moment at which the stream was whole, UTC epoch ms by the host's clock.
        reach: how many ticks of a symbol can be had when it is over.
        clock_offset_ms: Hong Kong's clock, by OpenD, less the host's.
        by_hours: whether there are trades in Hong Kong's trading hours only; a simulated or replayed market has others.
    """

    since_ms: int
    reach: int
    clock_offset_ms: int = 0
    by_hours: bool = True


class Risk(NamedTuple):
    """A symbol that trades: its ticks a second, and until when an outage can be made good, UTC epoch ms."""

    symbol: str
    rate: float
    deadline_ms: int


def risks(rates: Mapping[str, float], interruption: Interruption, now_ms: int) -> list[Risk]:
    """Deadlines of today, the nearest first. A symbol that is not in it is in no danger before the close."""
    found = []
    for symbol, rate in rates.items():
        deadline_ms = _deadline_ms(interruption, interruption.reach / rate * 1000, now_ms) if rate > 0 else None
        if deadline_ms is not None:
            found.append(Risk(symbol, rate, deadline_ms))
    return sorted(found, key=lambda risk: (risk.deadline_ms, risk.symbol))


def keeps_hours(*, is_open: bool, now_ms: int) -> bool:
    """Whether what trades does so in Hong Kong's hours; `is_open` is OpenD's own word for now."""
    return is_trading_time(now_ms) or not is_open


def fetch_order(
    symbols: Iterable[str],
    rates: Mapping[str, float],
    rows: Mapping[str, int],
    deadlines: Mapping[str, int],
    now_ms: int,
) -> list[str]:
    """In which order symbols are fetched.

    Args:
        symbols: which.
        rates: ticks a second, just before the outage.
        rows: ticks of the whole day, where there are no rates.
        deadlines: of the symbols that have one.
        now_ms: UTC epoch ms.
    """
    # The busiest first loses the fewest ticks: all have been missed from the same moment on, so the highest rate is the
    # nearest deadline, and past it the greatest loss with each second. But one that is past has its gap anyway, and
    # loses some ticks more at worst; one that can just be met is whole, or has a gap too. So those come first which
    # may miss theirs while the others are fetched, then the ones that are past, and last those that can wait.

    def rank(symbol: str) -> tuple[bool, float, int]:
        left_ms = deadlines[symbol] - now_ms if symbol in deadlines else -1
        return not 0 <= left_ms <= URGENT_MS, -rates.get(symbol, 0.0), -rows.get(symbol, 0)

    return sorted(symbols, key=rank)


def _deadline_ms(interruption: Interruption, lasts_ms: float, now_ms: int) -> int | None:
    """When so much time with trades has passed; None: not before today's close."""
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


# ---- as it is told


def outlook(cause: str, since_ms: int, found: list[Risk], now_ms: int, *, is_open: bool) -> dict[str, Any] | None:
    """The object `outage` of `recorder.json`; None: the market is closed, and nothing can be lost now.

    Args:
        cause: one of `resumption.Cause`.
        since_ms: as in `Interruption`.
        found: `risks`.
        now_ms: UTC epoch ms.
        is_open: whether the market is.
    """
    past = [risk for risk in found if risk.deadline_ms <= now_ms]
    to_come = found[len(past) :] if is_open else []
    if not is_open and not past:
        return None
    return {
        "cause": cause,
        "since_ms": since_ms,
        "first_deadline_ms": found[0].deadline_ms if found else None,
        "past": len(past),
        "past_symbols": [risk.symbol for risk in past[:SHOWN_MAX]],
        "symbols": [
            {"symbol": risk.symbol, "rate": round(risk.rate, 3), "deadline_ms": risk.deadline_ms}
            for risk in to_come[:SHOWN_MAX]
        ],
    }


def outlook_text(told: object, now_ms: float) -> str:
    """An `outage` in words, for people; empty where it is none. What is not as it should be is left out."""
    if not isinstance(told, dict) or not isinstance(since_ms := told.get("since_ms"), int):
        return ""
    words = _WORDS.get(str(told.get("cause")), "stream interrupted for {}")
    said = [words.format(span_text((now_ms - since_ms) / 1000))]
    symbols = told.get("symbols")
    to_come = [
        f"{symbol['symbol']} {'can be made good for another ' if number == 0 else ''}{span_text(left_ms / 1000)}"
        for number, symbol in enumerate(symbols[:NAMED_MAX] if isinstance(symbols, list) else [])
        if isinstance(symbol, dict) and (left_ms := _left_ms(symbol, now_ms)) is not None
    ]
    if to_come:
        said.append(", ".join(to_come))
    if isinstance(past := told.get("past"), int) and past:
        names = told.get("past_symbols")
        shown = ", ".join(map(str, names[:NAMED_MAX])) if isinstance(names, list) else ""
        more = ", …" if past > NAMED_MAX else ""
        said.append(f"past {'its' if past == 1 else 'their'} deadline: {counted(past, 'symbol')}: {shown}{more}")
    if len(said) == 1:
        return said[0]
    if_it_lives = ", and if OpenD itself goes on," if told.get("cause") == "opend_down" else ""
    return f"{said[0]}; by the rates before it{if_it_lives} {'; '.join(said[1:])}"


def span_text(sec: float) -> str:
    """42 s, 3 min 10 s, 2 h 5 min."""
    whole = max(0, round(sec))
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _left_ms(symbol: Mapping[str, Any], now_ms: float) -> float | None:
    deadline_ms = symbol.get("deadline_ms")
    return deadline_ms - now_ms if isinstance(deadline_ms, int) and "symbol" in symbol else None

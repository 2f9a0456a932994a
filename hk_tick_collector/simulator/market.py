"""When trades happen: on a planned Hong Kong day, or in an even stream by the wall clock.

Owns the schedule. `tape` owns what a trade is; `sessions` owns the trading hours.

Invariant: the same plan gives the same ticks in the same order, however the day is divided into calls of `ticks_until`.
A day is never held in memory: the schedule is generated minute by minute, and each trade is made when it is due.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.opend.market import MarketState
from hk_tick_collector.simulator import sessions
from hk_tick_collector.simulator.calendar import DayKind, day_kind
from hk_tick_collector.simulator.tape import Book, MadeTick, Ordinals, Tape, TimeForm, Totals
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

__all__ = ["DayPlan", "FlatMarket", "MadeTick", "Market", "MarketDay", "Ordinals", "Totals", "day_plan", "universe"]

_Kind = Literal["trade", "odd_lot", "auction"]

_TICKS_FOR_AUCTION = 20  # ticks that the day must have for each symbol in the auctions
_MATCH_LASTS_SEC = 10  # an auction's prints all come within this time, most of them early
_MATCH_MEAN_SEC = 2.0


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The plan of one simulated day.

    Attributes:
        date: Hong Kong date.
        half_day: whether it ends at noon.
        symbols: busiest first.
        seed: the same seed gives the same day.
        ticks_per_day: over all symbols, auctions included; a half day makes the same number in less time.
        ordinals: what the low halves of the sequences look like; see `tape`.
        uncounted: types of ticks that are not in the totals.
        time_form: how the times of ticks are written.
        usual_types: see `tape`.
    """

    date: dt.date
    half_day: bool
    symbols: tuple[str, ...]
    seed: int
    ticks_per_day: int
    ordinals: Ordinals = "contiguous"
    uncounted: frozenset[int] = frozenset()
    time_form: TimeForm = "seconds"
    usual_types: bool = False


def day_plan(
    date: dt.date,
    symbols: Sequence[str],
    *,
    seed: int,
    ticks_per_day: int,
    ordinals: Ordinals = "contiguous",
    uncounted: frozenset[int] = frozenset(),
    time_form: TimeForm = "seconds",
) -> DayPlan:
    """A plan that takes its length from the calendar.

    Raises:
        ConfigError: no trading on that date, or less than one tick per day.
    """
    kind = day_kind(date)
    if kind is None:
        raise ConfigError(f"{date} is no trade date in Hong Kong")
    if ticks_per_day < 1:
        raise ConfigError(f"{ticks_per_day} ticks a day, expected at least 1")
    return DayPlan(date, kind is DayKind.MORNING, tuple(symbols), seed, ticks_per_day, ordinals, uncounted, time_form)


class Market(Tape, ABC):
    """What OpenD needs from a market."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the schedule has no more ticks."""

    @abstractmethod
    def ticks_until(self, ts_ms: int) -> list[MadeTick]:
        """All ticks from the last call up to `ts_ms` (simulated epoch milliseconds), in time order.

        The ticks of one second are spread over that second, although they may have the same `ts_ms`.
        """

    @abstractmethod
    def skip_to(self, ts_ms: int) -> None:
        """Continue from `ts_ms`: ticks due earlier that were not asked for are never made. Never goes back."""

    @abstractmethod
    def state_at(self, ts_ms: int) -> int:
        """The market state that OpenD reports at that time (Qot_Common.QotMarketState)."""


class _Second(NamedTuple):
    """The trades of one second, before they are made."""

    books: list[Book]
    second: int
    kind: _Kind


class MarketDay(Market):
    """One Hong Kong day.

    The opening auction prints at a random moment from 09:20 to 09:22. Trading runs from 09:30 to 12:00 and from 13:00
    to 16:00. A few odd lots trade while the closing auction collects orders; it prints at a random moment from 16:08 to
    16:10, when OpenD already reports CLOSED. A half day ends at noon; its closing auction prints from 12:08 to 12:10.

    Attributes:
        plan: the plan that it follows.
        start_ts_ms: where the simulated clock begins; trades scheduled earlier are never made.
        close_ms: the end of continuous trading, UTC epoch ms.
        end_ts_ms: no tick comes after it.
    """

    def __init__(self, plan: DayPlan, *, start_ts_ms: int | None = None) -> None:
        """`start_ts_ms`: UTC epoch milliseconds; None: 09:00 of the day."""
        super().__init__(
            plan.symbols,
            seed=f"{plan.seed}:{plan.date}",
            ordinals=plan.ordinals,
            uncounted=plan.uncounted,
            time_form=plan.time_form,
            usual_types=plan.usual_types,
        )
        self.plan = plan
        self._midnight_sec = sessions.midnight_sec(plan.date)
        self._close_sec = sessions.close_sec(half_day=plan.half_day)
        self.start_ts_ms = (self._midnight_sec + sessions.PRE_OPEN_SEC) * 1000 if start_ts_ms is None else start_ts_ms
        closing = self._close_sec + sessions.AUCTION_LASTS_SEC + sessions.MATCH_WINDOW_SEC
        self.close_ms = (self._midnight_sec + self._close_sec) * 1000
        self.end_ts_ms = (self._midnight_sec + closing) * 1000
        self._clock = Random(f"{plan.seed}:{plan.date}:clock")
        self._schedule = self._seconds()
        self._now: _Second | None = _Second([], 0, "trade")
        self._given = 0  # how many of `_now` were made or skipped

    @property
    def done(self) -> bool:
        """Whether the closing prints are out."""
        return self._now is None

    def ticks_until(self, ts_ms: int) -> list[MadeTick]:
        """All ticks from the last call up to `ts_ms`, in time order."""
        make = {"trade": self._trade, "odd_lot": self._odd_lot, "auction": self._auction}
        made: list[MadeTick] = []
        for books, second, kind in self._due(ts_ms):
            time = sessions.hk_time(second)
            one = make[kind]
            made += [one(book, second, time) for book in books]
        return made

    def skip_to(self, ts_ms: int) -> None:
        """Continue from `ts_ms`; skipped trades use no ordinals."""
        for _ in self._due(ts_ms):
            pass

    def _due(self, ts_ms: int) -> Iterator[_Second]:
        """The trades that are due at `ts_ms` and not yet returned, second by second."""
        while self._now is not None:
            books, second, kind = self._now
            # The k-th of n trades (from 0) comes k/n into the second.
            ms = ts_ms - second * 1000
            due = len(books) if ms >= 1000 else ((ms + 1) * len(books) + 999) // 1000  # noqa: PLR2004 - ms in a second
            if due > self._given:
                given, self._given = self._given, due
                yield _Second(books[given:due], second, kind)
            if self._given < len(books):
                return
            self._now = next(self._schedule, None)
            self._given = 0

    def state_at(self, ts_ms: int) -> int:
        """The market state that OpenD reports at that time; CLOSED on any other date."""
        second = ts_ms // 1000 - self._midnight_sec
        if not 0 <= second < sessions.DAY_SEC:
            return MarketState.CLOSED
        return sessions.state_at(second, half_day=self.plan.half_day)

    def _seconds(self) -> Iterator[_Second]:
        """The seconds that have trades, in order, from the start on."""
        start = -(-self.start_ts_ms // 1000) - self._midnight_sec
        in_auctions = self._ranked[: self._auction_size()]
        opening = self._auction_seconds(sessions.OPENING_MATCH_SEC, in_auctions)
        closing = self._auction_seconds(self._close_sec + sessions.AUCTION_LASTS_SEC, in_auctions)
        yield from (s for s in opening if s.second >= start + self._midnight_sec)
        for second, n in self._trading_seconds(self.plan.ticks_per_day - 2 * len(in_auctions)):
            if n and second >= start:
                kind: _Kind = "odd_lot" if second >= self._close_sec else "trade"
                yield _Second(self._pick(n), self._midnight_sec + second, kind)
        yield from (s for s in closing if s.second >= start + self._midnight_sec)

    def _auction_size(self) -> int:
        """How many of the busiest symbols print in the auctions; on a day with few ticks, not all of them."""
        ticks = self.plan.ticks_per_day
        least = 1 if ticks > 1 else 0
        return min(len(self._ranked), max(ticks // _TICKS_FOR_AUCTION, least))

    def _auction_seconds(self, window_sec: int, books: list[Book]) -> list[_Second]:
        """All symbols match at one random moment of the window; their prints follow over the next seconds."""
        match = window_sec + self._clock.randrange(sessions.MATCH_WINDOW_SEC - _MATCH_LASTS_SEC)
        prints: dict[int, list[Book]] = {}
        for book in books:
            late = min(int(self._clock.expovariate(1 / _MATCH_MEAN_SEC)), _MATCH_LASTS_SEC - 1)
            prints.setdefault(self._midnight_sec + match + late, []).append(book)
        return [_Second(prints[second], second, "auction") for second in sorted(prints)]

    def _trading_seconds(self, ticks: int) -> Iterator[tuple[int, int]]:
        """(second of the day, trades in it); the sum is exactly `ticks`. Trades come in clusters, as in reality."""
        minutes = sessions.busyness(half_day=self.plan.half_day)
        noisy = [share * self._clock.lognormvariate(0, 0.25) for _, share in minutes]
        for (begin, _), in_minute in zip(minutes, self._split(ticks, noisy), strict=True):
            clusters = [self._clock.expovariate(1.0) for _ in range(60)]
            yield from zip(range(begin, begin + 60), self._split(in_minute, clusters), strict=True)

    def _split(self, n: int, weights: list[float]) -> list[int]:
        """Split `n` into integers by weight: the sum is exact, and a random offset keeps the rounding fair."""
        offset = self._clock.random()
        cum = list(accumulate(weights))
        marks = [int(n * c / cum[-1] + offset) for c in cum[:-1]]
        return [after - before for before, after in zip([0, *marks], [*marks, n], strict=True)]


class FlatMarket(Market):
    """An even stream that never closes, for runs by the wall clock: `rate` ticks per second, with the usual skew.

    A tick has the time of the second in which it was due, even if it is asked for later. At every Hong Kong midnight
    totals reset, with or without trades; so do ordinals, except in mode "none".
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int,
        rate: float,
        start_ts_ms: int,
        ordinals: Ordinals = "contiguous",
        uncounted: frozenset[int] = frozenset(),
        time_form: TimeForm = "seconds",
    ) -> None:
        """`rate`: ticks per second over all symbols; ConfigError unless it is above zero."""
        super().__init__(symbols, seed=seed, ordinals=ordinals, uncounted=uncounted, time_form=time_form)
        if not rate > 0:
            raise ConfigError(f"rate of {rate} ticks a second, expected more than 0")
        self.rate = rate
        self.start_ts_ms = start_ts_ms
        self._made = 0
        self._date = self._date_of(start_ts_ms // 1000)

    @property
    def done(self) -> bool:
        """Never."""
        return False

    def ticks_until(self, ts_ms: int) -> list[MadeTick]:
        """All ticks from the last call up to `ts_ms`, in time order; none if the clock went back."""
        made: list[MadeTick] = []
        due = self._due(ts_ms)
        while self._made < due:
            second = int(self.start_ts_ms + (self._made + 1) * 1000 / self.rate) // 1000
            # At least one: rounding the tick's time and rounding the second's last tick may disagree.
            n = max(1, min(due, self._due(second * 1000 + 999)) - self._made)
            self.come_to(second * 1000)
            time = sessions.hk_time(second)
            made += [self._trade(book, second, time) for book in self._pick(n)]
            self._made += n
        return made

    def come_to(self, ts_ms: int) -> None:
        """Advance to `ts_ms`, and start a new day if its date is later. Never goes back."""
        second = ts_ms // 1000
        if self._date_of(second) > self._date:
            self._date = self._date_of(second)
            self._new_day(second)

    def skip_to(self, ts_ms: int) -> None:
        """Continue from `ts_ms`."""
        if ts_ms > self.start_ts_ms + self._made * 1000 / self.rate:
            self.start_ts_ms, self._made = ts_ms, 0

    def state_at(self, ts_ms: int) -> int:  # noqa: ARG002 - the same at every time
        """Always the morning session."""
        return MarketState.MORNING

    def _due(self, ts_ms: int) -> int:
        return int((ts_ms - self.start_ts_ms) * self.rate / 1000)

    @staticmethod
    def _date_of(second: int) -> int:
        return (second + sessions.HK_OFFSET_SEC) // sessions.DAY_SEC

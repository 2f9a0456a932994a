"""The recorder's day: when it hears the feed, why not, and which pushes are lost.

Owns what never comes as a push. Times are true ones, UTC epoch ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, MINUTE_MS
from hk_tick_collector.journal.events import Cause
from worlds.market import AUCTION, AUTO, clock_of, ms_of
from worlds.weathers import Weather

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from worlds.market import Book, Hours, Trade
    from worlds.weathers import Plan

START_MS: Final = ms_of("08:50:00")
LATE_START_MS: Final = ms_of("10:15:00")
ADDED_MS: Final = ms_of("11:00:00")
END_MS: Final = ms_of("16:50:00")
NEVER_MS: Final = START_MS + 30 * DAY_MS
MORNING_MS: Final = START_MS + 3 * DAY_MS  # of the next trading day

MADE_GOOD_MAX: Final = 50  # by OpenD after it has lost the exchange, as its vendor says
CONNECTING: Final = frozenset({Cause.CONNECTION_LOST, Cause.OPEND_DOWN, Cause.RECORDER_DOWN, Cause.JOURNAL_FULL})
_LOST_ITS_SOURCE: Final = frozenset({Cause.EXCHANGE_LOST, Cause.KICKED_OUT})
_CAUSES: Final = (*sorted(CONNECTING), Cause.EXCHANGE_LOST, Cause.KICKED_OUT, Cause.UNKNOWN)  # in one order each time
_DEPTHS: Final = (3, 10, 40, 1000, 1000)


class Away(NamedTuple):
    """A time in which nothing is heard; the stream resumes at its end.

    Attributes:
        begin_ms: when.
        end_ms: likewise.
        cause: why.
        since_ms: the last moment at which the stream was proven; None: not known.
        depth: how many ticks of each symbol are fetched then; 0: that fails.
    """

    begin_ms: int
    end_ms: int
    cause: Cause
    since_ms: int | None
    depth: int


@dataclass
class Life:
    """What a recorder does and suffers on the day.

    Attributes:
        aways: the first one ends with its start.
        subscribed_ms: by symbol, from when on it is subscribed; without those that never are.
        end_ms: when it ends for good.
        freeze_ms: when OpenD's feed freezes; None: never.
        made_good: by the end of an outage, what OpenD pushes again of it.
        told: what else comes to pass, for people.
    """

    aways: list[Away]
    subscribed_ms: dict[str, int]
    end_ms: int = END_MS
    freeze_ms: int | None = None
    made_good: dict[int, list[Trade]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def hears(self, at_ms: int, symbol: str | None = None) -> bool:
        """Whether something that comes at that moment is heard."""
        if at_ms >= self.end_ms or (symbol and at_ms < self.subscribed_ms.get(symbol, self.end_ms)):
            return False
        return not any(away.begin_ms <= at_ms < away.end_ms for away in self.aways)

    @property
    def is_cut_short(self) -> bool:
        """Whether it ends within the day, and nobody hears anything again."""
        return self.end_ms < END_MS

    def subscribed(self, at_ms: int) -> list[str]:
        """The symbols that are subscribed then."""
        return [symbol for symbol, since_ms in self.subscribed_ms.items() if since_ms <= at_ms]


def draw_life(random: Random, plan: Plan, books: list[Book], hours: Hours, step_ms: int | None) -> Life:
    """Draw a recorder's day, and mark the trades whose pushes it does not hear.

    Args:
        random: the source.
        plan: what the day is made of.
        books: the truth.
        hours: when the exchange trades.
        step_ms: when the host's clock is stepped; None: never.
    """
    start_ms = LATE_START_MS if plan.has(Weather.LATE_START) else START_MS
    first = Away(0, start_ms, Cause.RECORDER_DOWN, None, random.choice(_DEPTHS))
    life = Life([first], {book.symbol: start_ms for book in books})
    if plan.has(Weather.ADDED):
        life.subscribed_ms[books[-1].symbol] = ADDED_MS
        if random.random() < 0.5:  # by a restart with another list; else OpenD has quota for it again
            life.aways.append(Away(ADDED_MS - 20_000, ADDED_MS, Cause.RECORDER_DOWN, None, random.choice(_DEPTHS)))
    if plan.has(Weather.NO_QUOTA):
        del life.subscribed_ms[books[-1].symbol]
    _draw_end(random, plan, life, step_ms)
    trades = sorted((t for book in books for t in book.trades), key=lambda t: t.pushed_ms)
    if trades:
        _draw_aways(random, plan, life, hours, trades)
        if plan.has(Weather.FROZEN):
            life.freeze_ms = random.choice([random.choice(trades).traded_ms, hours.closing_ms - 60_000])
            if life.freeze_ms >= hours.closing_ms:  # amid the last prints nothing at all could show it
                life.freeze_ms = hours.closing_ms + 5000
    for book in books:
        if plan.has_losses and book.trades and random.random() < 0.7:
            _lose(random, life, book.trades)
    for away in life.aways:
        _undergo(random, plan, life, away, trades)
    _mark_unheard(life, trades)
    return life


def _draw_end(random: Random, plan: Plan, life: Life, step_ms: int | None) -> None:
    """When it ends: in the evening, or too soon, which a wrong clock or calendar must not hide."""
    is_wrong = plan.has(Weather.CALENDAR, Weather.HOST_CLOCK, Weather.OPEND_CLOCK)
    if plan.has(Weather.ENDS_EARLY) or (is_wrong and random.random() < 0.3):
        life.end_ms = ms_of(random.choice(["10:31:00", "12:30:00", "12:30:00", "15:30:00", "16:05:00"]))
        if step_ms is not None and random.random() < 0.7:
            life.end_ms = min(END_MS, step_ms + random.randrange(10_000, 70_000))
        life.told.append(f"the recorder is killed at {clock_of(life.end_ms)}")
        if random.random() < 0.5:
            return
    elif random.random() < 0.9:
        return
    life.aways.append(Away(life.end_ms, MORNING_MS, Cause.RECORDER_DOWN, None, random.choice(_DEPTHS)))
    life.end_ms = MORNING_MS + 5 * MINUTE_MS


def _draw_aways(random: Random, plan: Plan, life: Life, hours: Hours, trades: Sequence[Trade]) -> None:
    """Outages that take trades, and clean ones in which there are none."""
    found: list[Away] = []
    if plan.has(Weather.EXCHANGE_LOST):
        count = min(random.choice([5, 30, 70, 120]), len(trades) - 1)
        first = random.randrange(len(trades) - count)
        causes = (Cause.EXCHANGE_LOST, Cause.EXCHANGE_LOST, Cause.KICKED_OUT)
        span = trades[first].pushed_ms, trades[first + count].pushed_ms
        found.append(_away(random, *span, random.choice(causes)))
    if plan.has(Weather.RESTART):
        begin_ms = ms_of("12:20:00")
        if plan.has_losses and random.random() < 0.7:
            begin_ms = random.choice(trades).pushed_ms - 1000
        found.append(_away(random, begin_ms, begin_ms + random.choice([3000, 20_000]), Cause.RECORDER_DOWN))
    if plan.has_losses and random.random() < 0.5:
        for _ in range(random.choice([1, 1, 2, 3])):
            begin_ms = random.choice(trades).pushed_ms + random.choice([-1, 0, 1])
            length_ms = random.choice([300, 3000, 20_000, 60_000])
            found.append(_away(random, begin_ms, begin_ms + length_ms, random.choice(_CAUSES)))
    if random.random() < 0.2:
        begin_ms = random.choice([hours.blocks[0][1], hours.blocks[1][1], ms_of("12:40:00")]) + 20_000
        found.append(_away(random, begin_ms, begin_ms + 5000, random.choice(_CAUSES)))
    for away in sorted(found):
        if all(away.begin_ms > o.end_ms + 500 or away.end_ms < o.begin_ms - 500 for o in life.aways):
            life.aways.append(away)
    life.aways.sort()


def _away(random: Random, begin_ms: int, end_ms: int, cause: Cause) -> Away:
    since_ms: int | None = begin_ms - random.choice([0, 1, 200, 1500])
    if cause is Cause.RECORDER_DOWN or (cause is Cause.UNKNOWN and random.random() < 0.3):
        since_ms = None
    return Away(begin_ms, end_ms, cause, since_ms, 0 if random.random() < 0.05 else random.choice(_DEPTHS))


def _lose(random: Random, life: Life, trades: list[Trade]) -> None:
    """Lose pushes of one symbol without an outage: OpenD's memory has them, or has not."""
    way = random.choice(["single", "single", "run", "last", "first", "silent", "odd"])
    alike = _alike(trades)
    if alike and random.random() < 0.5:
        way, lost = "alike", [random.choice(alike)]
    elif way == "single":
        share = random.choice([0.005, 0.02, 0.06])
        lost = [t for t in trades if random.random() < share]
    elif way == "run":
        first = random.randrange(len(trades))
        lost = trades[first : first + random.choice([2, 5, 15])]
    elif way == "last":
        lost = trades[-random.choice([1, 1, 3]) :]
    elif way == "first":
        lost = trades[: random.choice([1, 1, 3])]
    elif way == "silent":
        lost = trades[random.randrange(len(trades)) :]
    else:
        lost = [t for t in trades if t.tick_type not in (AUTO, AUCTION)][: random.choice([1, 100])]
    is_known = random.random() < 0.4
    for trade in lost:
        trade.is_lost = True
        if not is_known:
            trade.known_ms = None
    life.told.append(f"{trades[0].symbol}: {len(lost)} lost ({way}), {'known' if is_known else 'unknown'} to OpenD")


def _alike(trades: list[Trade]) -> list[Trade]:
    """Trades of just as many shares, at the same price, as another one's revision or some not counted ones explain."""
    sums = {(t.price, abs(t.volume - t.revision.volume)) for t in trades if t.revision}
    uncounted = [t for t in trades if t.counted_ms is None]
    sums |= {(a.price, a.volume + b.volume) for a, b in combinations(uncounted[:20], 2) if a.price == b.price}
    ordinary = (t for t in trades if t.counted_ms is not None and t.revision is None)
    return [t for t in ordinary if (t.price, t.volume) in sums]


def _undergo(random: Random, plan: Plan, life: Life, away: Away, trades: Iterable[Trade]) -> None:
    """What OpenD's memory has of an outage, and what it pushes again by itself."""
    inside = [t for t in trades if away.begin_ms <= t.pushed_ms < away.end_ms and not t.is_lost]
    if away.cause is Cause.OPEND_DOWN:
        for trade in inside[: random.choice([0, len(inside) // 2, len(inside)])]:
            trade.known_ms = None
    elif away.cause in _LOST_ITS_SOURCE:
        by_symbol: dict[str, list[Trade]] = {}
        for trade in inside:
            trade.known_ms = None
            by_symbol.setdefault(trade.symbol, []).append(trade)
        most = MADE_GOOD_MAX
        if random.random() < 0.2 or (plan.has(Weather.EXCHANGE_LOST) and random.random() < 0.6):
            most = random.choice([0, random.randrange(MADE_GOOD_MAX), MADE_GOOD_MAX - 1])
        made_good = [t for of_one in by_symbol.values() for t in of_one[len(of_one) - min(most, len(of_one)) :]]
        for trade in made_good:
            trade.known_ms = away.end_ms - 1
        if away.cause is Cause.EXCHANGE_LOST:
            life.made_good[away.end_ms] = made_good


def _mark_unheard(life: Life, trades: Iterable[Trade]) -> None:
    """Mark what is pushed when nobody hears it; nothing is known after a freeze; memory is one piece."""
    latest_ms = 0
    for trade in trades:
        is_frozen = life.freeze_ms is not None and trade.pushed_ms >= life.freeze_ms
        if is_frozen or not life.hears(trade.pushed_ms, trade.symbol):
            trade.is_lost = True
        if is_frozen:
            trade.known_ms = None
        if trade.known_ms is not None:
            trade.known_ms = latest_ms = max(latest_ms, trade.known_ms)
        revision = trade.revision
        if revision and life.freeze_ms is not None and revision.made_ms >= life.freeze_ms:
            revision.made_ms = NEVER_MS
        if revision and revision.pushed_ms is not None:
            is_heard = life.hears(revision.pushed_ms, trade.symbol)
            revision.pushed_ms = revision.pushed_ms if is_heard and revision.made_ms < NEVER_MS else None

"""The exchange's day: its hours, the symbols, their trades, and what the exchange counts of them.

All times are true ones, UTC epoch ms; no clock is read. Owns the truth that everything else is measured against.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.hktime import DAY_MS, hk_text, parse_time
from worlds.weathers import Weather

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from worlds.weathers import Plan

DAY: Final = "20261120"
MIDNIGHT_MS: Final = parse_time(DAY + "000000").ms
SYMBOLS: Final = ("HK.00700", "HK.00005", "HK.09988", "HK.03690", "HK.01299", "HK.00388", "HK.02318", "HK.01810")

AUTO, LATE, NON_AUTO, ODD_LOT, AUCTION = 1, 2, 3, 6, 7

_PRICES: Final = ((380.0, 0.2, 100), (62.5, 0.05, 400), (120.0, 0.1, 100), (8.4, 0.01, 500), (0.31, 0.005, 2000))


@cache
def ms_of(clock: str) -> int:
    """'09:30:00' of the day in UTC epoch ms."""
    hours, minutes, seconds = map(int, clock.split(":"))
    return MIDNIGHT_MS + ((hours * 60 + minutes) * 60 + seconds) * 1000


class Ordinals(StrEnum):
    """What the lower half of a sequence counts."""

    CONTIGUOUS = "each trade"
    SPARSE = "in steps"
    EACH_SECOND = "from 0 in each second"
    NONE = "nothing: sequences are 0"
    ONE_UNPUBLISHED = "each trade, and one that was never published"
    PUSHES_ONLY = "each trade, but in windows sequences are 0"


_BARE: Final = frozenset({Ordinals.NONE, Ordinals.PUSHES_ONLY})


class Hours(NamedTuple):
    """When the day trades: a day of some minutes, with the real day's landmarks."""

    blocks: tuple[tuple[int, int], ...]
    closing_ms: int
    is_half: bool

    def last_open_ms(self, at_ms: int) -> int | None:
        """The last moment until `at_ms` at which quotes changed; None: not yet on this day."""
        spans = [(ms_of("09:00:00"), ms_of("12:00:00")), (ms_of("13:00:00"), ms_of("16:00:00"))]
        spans = spans[:1] if self.is_half else spans
        spans.append((self.closing_ms, self.closing_ms))
        begun = [min(at_ms, end_ms) for begin_ms, end_ms in spans if begin_ms <= at_ms]
        return max(begun, default=None)


@dataclass(slots=True)
class Revision:
    """A trade that is sent again with another volume.

    Attributes:
        volume: shares; 0: it is cancelled.
        made_ms: from when on OpenD's memory has it so.
        pushed_ms: when that is pushed; None: only windows tell it.
        is_counted: whether the exchange's totals follow it.
    """

    volume: int
    made_ms: int
    pushed_ms: int | None
    is_counted: bool


@dataclass(slots=True, eq=False)
class Trade:
    """One that was made.

    Attributes:
        symbol: which.
        number: its place in the symbol's day.
        traded_ms: when.
        price: HKD.
        volume: shares, as first told.
        tick_type: OpenD's number.
        direction: likewise.
        seq: its sequence; 0: it has none.
        pushed_ms: when its push comes, or would have come.
        counted_ms: from when on totals have it; None: never.
        known_ms: from when on OpenD's memory has it; None: never.
        is_lost: its push did not come; a window may bring it.
        revision: how it was sent again.
    """

    symbol: str
    number: int
    traded_ms: int
    price: float
    volume: int
    tick_type: int
    direction: int
    seq: int = 0
    pushed_ms: int = 0
    counted_ms: int | None = 0
    known_ms: int | None = 0
    is_lost: bool = False
    revision: Revision | None = None

    def volume_at(self, at_ms: int) -> int:
        """As OpenD's memory has it then."""
        return self.revision.volume if self.revision and self.revision.made_ms <= at_ms else self.volume

    def __str__(self) -> str:
        told = f"{self.symbol} #{self.number} {clock_of(self.traded_ms)} {self.volume} @ {self.price:g}"
        revised = f", sent again with {self.revision.volume}" if self.revision else ""
        return f"{told} type {self.tick_type} ordinal {self.seq & 0xFFFFFFFF}{revised}"


class Sums(NamedTuple):
    """What totals hold: shares, HKD, and the time of the last trade in them; None: there is none."""

    volume: int
    turnover: float
    last_ms: int | None


@dataclass
class Book:
    """A symbol's day.

    Attributes:
        symbol: which.
        lot: shares of a board lot.
        is_lively: its quotes change all the time, so its snapshot's time is the present while the exchange is open.
        trades: in their order.
        yesterday: some trades of the day before, likewise.
        old_row: its last totals of the day before; None: it has never traded.
        is_bare_in_windows: whether windows have no sequences.
    """

    symbol: str
    lot: int
    is_lively: bool
    trades: list[Trade]
    yesterday: list[Trade] = field(default_factory=list)
    old_row: Sums | None = None
    is_bare_in_windows: bool = False

    @cached_property
    def _steps(self) -> tuple[list[int], list[Sums]]:
        """By time, what totals hold from then on; read it when all trades are as they will be."""
        changes: list[tuple[int, int, float, int]] = []
        for t in self.trades:
            if t.counted_ms is None:
                continue
            changes.append((t.counted_ms, t.volume, t.price * t.volume, t.traded_ms))
            if t.revision and t.revision.is_counted:
                more = t.revision.volume - t.volume
                at_ms = max(t.revision.made_ms, t.counted_ms + 1)
                changes.append((at_ms, more, t.price * more, t.traded_ms))
        changes.sort(key=lambda change: change[0])
        sums, volume, turnover, last_ms = [], 0, 0.0, 0
        for _, more, money, traded_ms in changes:
            volume, turnover, last_ms = volume + more, turnover + money, max(last_ms, traded_ms)
            sums.append(Sums(volume, round(turnover, 3), last_ms))
        return [change[0] for change in changes], sums

    def totals_at(self, at_ms: int) -> Sums:
        """The exchange's count at a moment."""
        times, sums = self._steps
        place = bisect_right(times, at_ms)
        return sums[place - 1] if place else Sums(0, 0.0, None)


def clock_of(ms: int) -> str:
    """'09:30:00.123' for people, with the date if it is of another day."""
    text = hk_text(ms)
    return text[11:23] if text[:10].replace("-", "") == DAY else text[:23]


def draw_hours(random: Random, *, is_half: bool) -> Hours:
    """Draw when the day trades."""
    late_ms = random.randrange(90_000)
    late_morning = random.choice(["10:40:00", "11:05:00", "11:30:00"])
    begins = ["09:30:00", late_morning] if is_half else ["09:30:00", late_morning, "13:40:00"]
    blocks = [(ms_of(begin), ms_of(begin) + random.randrange(90_000, 180_000)) for begin in begins]
    end_ms = ms_of("12:00:00") if is_half else ms_of("16:00:00")
    blocks.append((end_ms - random.randrange(60_000, 180_000), end_ms - 100))
    closing = ms_of("12:08:00") if is_half else ms_of("16:08:00")
    return Hours(tuple(blocks), closing + late_ms, is_half)


def draw_books(random: Random, plan: Plan, hours: Hours) -> list[Book]:
    """Draw the symbols and all that is traded in them."""
    count = random.choice([1, 1, 2, 3, 4, 6]) + plan.has(Weather.NO_QUOTA)
    counting = Ordinals.CONTIGUOUS if random.random() < 0.6 else Ordinals.SPARSE
    if plan.has(Weather.ORDINALS):
        needs_sequences = plan.has(Weather.CANCELLED, Weather.CORRECTED, Weather.RENUMBERED)
        counting = random.choice([o for o in list(Ordinals)[1:] if not (needs_sequences and o in _BARE)])
    skew_ms = random.choice([0, 200, 900, 2500])
    not_counted: set[int] = set()
    if plan.has(Weather.NOT_COUNTED):
        not_counted = random.choice([{ODD_LOT}, {ODD_LOT}, {NON_AUTO}, {ODD_LOT, NON_AUTO}])
    has_yesterday = random.random() < 0.3
    books = []
    for place, symbol in enumerate(random.sample(SYMBOLS, count)):
        kind = random.random() if place else 1.0
        book = Book(symbol, 100, random.random() < 0.5, [])
        price, step, book.lot = random.choice(_PRICES)
        if kind >= 0.06:
            book.old_row = Sums(random.randrange(1, 900) * book.lot, 0.0, MIDNIGHT_MS - DAY_MS + _AT_CLOSE_MS)
            book.old_row = book.old_row._replace(turnover=round(book.old_row.volume * price, 3))
        if kind >= 0.13:
            book.trades = list(_draw_trades(random, plan, hours, book, (price, step)))
            _make_a_lot(random, book)
            _count(random, book.trades, counting)
            _time(random, plan, book.trades, skew_ms)
        book.is_bare_in_windows = counting is Ordinals.PUSHES_ONLY
        if book.old_row and has_yesterday:
            book.yesterday = [_of_yesterday(book, price, n) for n in range(1, 4)]
        for trade in book.trades:
            if trade.tick_type in not_counted:
                trade.counted_ms = None
        books.append(book)
    return books


_AT_CLOSE_MS: Final = (16 * 60 + 8) * 60_000 + 11_000


def _of_yesterday(book: Book, price: float, number: int) -> Trade:
    traded_ms = MIDNIGHT_MS - DAY_MS + _AT_CLOSE_MS - (3 - number) * 20_000
    seq = (traded_ms // 1000 << 32) + 5000 + number
    return Trade(book.symbol, -number, traded_ms, price, book.lot, AUTO, 1, seq, traded_ms, traded_ms, traded_ms)


def _draw_trades(
    random: Random, plan: Plan, hours: Hours, book: Book, price_and_step: tuple[float, float]
) -> Iterator[Trade]:
    """In their order, without sequences and ways."""
    price, step = price_and_step
    odd = random.choice([0, 0, 0.04, 0.15])
    if plan.has(Weather.NOT_COUNTED):
        odd = random.choice([0.01, 0.01, 0.05, 0.15])
    special = random.choice([0, 0, 0.03])
    # Where the price stays, a sum of shares says nothing that a sum of money does not.
    is_constant = random.random() < (0.6 if plan.has(*_ADDS_UP) else 0.3)
    lots = random.choice([(1,), (1,), (1, 1, 1, 2, 3, 5, 10)])
    for number, at_ms in enumerate(_draw_times(random, hours)):
        chance = random.random()
        tick_type, volume = AUTO, book.lot * random.choice(lots)
        if at_ms < ms_of("09:30:00") or at_ms >= hours.closing_ms:
            tick_type, volume = AUCTION, book.lot * random.randrange(1, 40)
        elif chance < odd:
            tick_type, volume = ODD_LOT, random.randrange(1, book.lot)
        elif chance < odd + special:
            tick_type = random.choice([NON_AUTO, LATE])
        if not is_constant and random.random() < 0.3:
            price = max(step, round(price + random.choice([-step, step]), 3))
        yield Trade(book.symbol, number, at_ms, price, volume, tick_type, random.randrange(1, 4))


_ADDS_UP: Final = (Weather.CANCELLED, Weather.CORRECTED, Weather.NOT_COUNTED, Weather.RENUMBERED, Weather.ORDINALS)


def _make_a_lot(random: Random, book: Book) -> None:
    """Have two odd lots be one lot together."""
    odd = [trade for trade in book.trades if trade.tick_type == ODD_LOT]
    if len(odd) > 1 and random.random() < 0.5:
        one, other = random.sample(odd, 2)
        other.volume, other.price = book.lot - one.volume, one.price


def _draw_times(random: Random, hours: Hours) -> list[int]:
    """When: in the blocks, with bursts, at the opening match and the closing one of most symbols."""
    count = random.randrange(30, random.choice([80, 80, 250]))
    is_bursty = random.random() < 0.3
    times: set[int] = set()
    while len(times) < count:
        begin_ms, end_ms = random.choice(hours.blocks)
        at_ms = random.randrange(begin_ms, end_ms)
        times.add(at_ms)
        if is_bursty:
            times.update(range(at_ms, at_ms + random.randrange(20)))
    if random.random() < 0.6:
        times.add(ms_of("09:20:00") + random.randrange(110_000))
    if random.random() < 0.85:
        times.add(hours.closing_ms + random.randrange(2000))
    return sorted(times)


def _count(random: Random, trades: list[Trade], counting: Ordinals) -> None:
    """Give each its sequence."""
    ordinal, second, lowest = 0, 0, random.choice([0, 1])
    unpublished = random.randrange(1, len(trades))
    for number, trade in enumerate(trades):
        if counting in _BARE:
            # Two that are equal in all can't be told apart without a sequence: a fault of no recorder's.
            trade.direction = 1 + number % 3
            trade.volume += sum(_is_twin(trade, other) for other in trades[max(0, number - 40) : number])
        if counting is Ordinals.NONE:
            continue
        if counting is Ordinals.EACH_SECOND:
            ordinal = lowest if trade.traded_ms // 1000 != second else ordinal + 1
            second = trade.traded_ms // 1000
        elif counting is Ordinals.SPARSE:
            ordinal += random.randrange(1, 4)
        else:
            ordinal += 2 if counting is Ordinals.ONE_UNPUBLISHED and number == unpublished else 1
        trade.seq = (trade.traded_ms // 1000 << 32) + ordinal


def _is_twin(one: Trade, other: Trade) -> bool:
    return one.traded_ms // 1000 == other.traded_ms // 1000 and one.direction == other.direction


def _time(random: Random, plan: Plan, trades: list[Trade], skew_ms: int) -> None:
    """When each is pushed, counted and known."""
    is_late = plan.has(Weather.PUSHES_LATE)
    way = random.choice(["late", "bursts", "polls ahead"]) if is_late else ""
    burst_ms = random.randrange(1500, 5000)
    pushed_ms = counted_ms = known_ms = late_ms = 0
    for trade in trades:
        at_ms = trade.traded_ms
        if way and random.random() < 0.1:
            late_ms = random.randrange(5000)
        own_ms = at_ms + random.randrange(20, 60) + (late_ms if way != "bursts" else 0)
        if way == "bursts":
            own_ms += -own_ms % burst_ms
        pushed_ms = max(pushed_ms + (way != "bursts"), own_ms)
        counted_ms = max(counted_ms, at_ms + random.randrange(skew_ms + 1))
        known_ms = max(known_ms, at_ms + 15 if way == "polls ahead" else pushed_ms)
        trade.pushed_ms, trade.counted_ms, trade.known_ms = pushed_ms, counted_ms, known_ms


def draw_revisions(random: Random, plan: Plan, books: list[Book], hours: Hours) -> None:
    """Have some trades sent again: cancelled, or with two or three times their volume."""
    if not plan.has(Weather.CANCELLED, Weather.CORRECTED):
        return
    is_counted, is_pushed = random.random() < 0.6, random.random() < 0.7
    traded = [book for book in books if book.trades]
    for book in random.sample(traded, random.randint(1, len(traded))):
        ordinary = [t for t in book.trades if t.tick_type == AUTO and t.traded_ms < hours.closing_ms - 400_000]
        for trade in random.sample(ordinary, min(len(ordinary), random.choice([1, 1, 2, 4]))):
            made_ms = trade.pushed_ms + random.choice([500, 4000, 60_000, 300_000])
            volume = 0 if plan.has(Weather.CANCELLED) else trade.volume * random.choice([2, 3])
            trade.revision = Revision(volume, made_ms, made_ms + 20 if is_pushed else None, is_counted)

"""What OpenD answers when it is asked for the exchange's totals: the truth, or what a weather makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.hktime import MINUTE_MS
from worlds.life import END_MS, MORNING_MS
from worlds.market import ms_of
from worlds.weathers import Weather

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from worlds.life import Life
    from worlds.market import Book, Hours, Sums
    from worlds.weathers import Plan

_LATE: Final = {Weather.LATE_1: 0.01, Weather.LYING_1: 0.01, Weather.LATE_10: 0.1, Weather.LYING_10: 0.1}
_STALE: Final = 0.02
_LATE_MS: Final = 10_000
_AFTER_CONNECT_MS: Final = 600
_AFTER_PUSHES: Final = 2  # snapshots in a row, when nothing is pushed any more


class Row(NamedTuple):
    """Of a snapshot.

    Attributes:
        symbol: which.
        volume: shares.
        turnover: HKD.
        update_ms: its own time; None: it has none.
        of_ms: the moment at which the exchange's totals were so.
        is_honest: whether it is as it should be, however late.
    """

    symbol: str
    volume: int
    turnover: float
    update_ms: int | None
    of_ms: int
    is_honest: bool


class Snapshot(NamedTuple):
    """When it was asked for, when the reply came, and what it says."""

    asked_ms: int
    at_ms: int
    rows: tuple[Row, ...]


def draw_snapshots(random: Random, plan: Plan, books: list[Book], hours: Hours, life: Life) -> list[Snapshot]:
    """Draw those of a day."""
    times = sorted({ms for ms in _times(random, plan, hours, life) if life.hears(ms)})
    if plan.has(Weather.SNAPSHOTS_MISSING):
        times = _without_some(random, times, hours)
    snapshots = [_ask(random, plan, books, hours, life, at_ms) for at_ms in times]
    if plan.has(Weather.LOW_WORD) and snapshots:
        _say_a_low_word(random, books, hours, snapshots)
    return snapshots


def _times(random: Random, plan: Plan, hours: Hours, life: Life) -> Iterator[int]:
    every_ms = random.choice([MINUTE_MS // 2, MINUTE_MS, MINUTE_MS, MINUTE_MS])
    spans = [*hours.blocks, (ms_of("09:20:00"), ms_of("09:20:30")), (hours.closing_ms, hours.closing_ms)]
    for begin_ms, end_ms in spans:
        first_ms = begin_ms + random.randrange(every_ms)
        yield from range(first_ms, end_ms + _AFTER_PUSHES * every_ms, every_ms)
    closes = ("12:12:30", "12:13:30", "12:14:30", "16:12:30", "16:13:30", "16:14:30", "16:42:00")
    yield from (ms_of(clock) + random.randrange(4000) for clock in closes)
    if hours.is_half:
        yield ms_of("12:42:00")
    for away in life.aways:
        if random.random() < 0.9:
            yield away.end_ms + _AFTER_CONNECT_MS
    yield from (MORNING_MS + n * MINUTE_MS for n in (1, 2, 3))
    if plan.has(Weather.ADDED):
        yield ms_of("11:00:00") + _AFTER_CONNECT_MS


def _without_some(random: Random, times: list[int], hours: Hours) -> list[int]:
    way = random.choice(["some", "some", "all", "before", "after", "the last"])
    cut_ms = random.choice(hours.blocks)[1]
    if way == "some":
        return [ms for ms in times if random.random() < 0.7]
    if way == "before":
        return [ms for ms in times if ms > cut_ms]
    if way == "after":
        return [ms for ms in times if ms <= cut_ms]
    return [ms for ms in times if way == "the last" and ms < hours.closing_ms]


def _ask(random: Random, plan: Plan, books: list[Book], hours: Hours, life: Life, at_ms: int) -> Snapshot:
    asked_ms = at_ms - random.randrange(5, 60)
    rows = []
    late = next((w for w in _LATE if plan.has(w)), None)
    is_slow = False  # the reply comes late, and says what was so when it was asked for
    for symbol in life.subscribed(at_ms):
        book = next(book for book in books if book.symbol == symbol)
        of_ms, is_lying = asked_ms, False
        if late and random.random() < _LATE[late]:
            of_ms -= random.randrange(500, _LATE_MS)
            is_lying = late in (Weather.LYING_1, Weather.LYING_10)
            is_slow = is_slow or (not is_lying and random.random() < 0.3)
        elif plan.has(Weather.STALE) and random.random() < _STALE:
            of_ms -= random.randrange(2 * MINUTE_MS, 10 * MINUTE_MS)
            is_lying = random.random() < 0.5
        rows.append(_row(book, hours, life, of_ms, asked_ms if is_lying else None))
    if is_slow and life.hears(slow_ms := min(row.of_ms for row in rows)):
        asked_ms = slow_ms
        rows = [_row(b, hours, life, asked_ms, None) for b in books if b.symbol in life.subscribed(at_ms)]
    return Snapshot(asked_ms, at_ms, tuple(rows))


def _row(book: Book, hours: Hours, life: Life, of_ms: int, lying_ms: int | None) -> Row:
    """What is so at `of_ms`; the time may claim another moment."""
    if life.freeze_ms is not None and of_ms < END_MS:  # overnight OpenD is restarted
        of_ms = min(of_ms, life.freeze_ms)
        lying_ms = None if lying_ms is None else min(lying_ms, life.freeze_ms)
    sums = book.totals_at(of_ms)
    update_ms = _update_ms(book, hours, sums, of_ms)
    if lying_ms is not None:
        update_ms = _update_ms(book, hours, book.totals_at(lying_ms), lying_ms)
    if update_ms is None and sums.last_ms is None and book.old_row is not None:
        old = book.old_row
        return Row(book.symbol, old.volume, old.turnover, old.last_ms, of_ms, is_honest=True)
    is_honest = lying_ms is None or update_ms == _update_ms(book, hours, sums, of_ms)
    return Row(book.symbol, sums.volume, sums.turnover, update_ms, of_ms, is_honest)


def _update_ms(book: Book, hours: Hours, sums: Sums, of_ms: int) -> int | None:
    """The time of the last trade, or, of a lively symbol, of the last quote: all that was traded before is counted."""
    quoted_ms = hours.last_open_ms(of_ms - _UNCOUNTED_MS) if book.is_lively else None
    return max((ms for ms in (sums.last_ms, quoted_ms) if ms is not None), default=None)


_UNCOUNTED_MS: Final = 2500  # a trade is counted so soon, whatever day it is


def _say_a_low_word(random: Random, books: list[Book], hours: Hours, snapshots: list[Snapshot]) -> None:
    """One row says nothing, or a lot too few; not the only one after the close, which nothing could contradict."""
    is_only = sum(snapshot.at_ms > hours.closing_ms for snapshot in snapshots) == 1
    places = [
        (n, k)
        for n, snapshot in enumerate(snapshots)
        for k, row in enumerate(snapshot.rows)
        if not (is_only and snapshot.at_ms > hours.closing_ms)
        if row.volume and row.update_ms and row.update_ms >= ms_of("00:00:00")
    ]
    if not places:
        return
    number, place = random.choice(places)
    rows = list(snapshots[number].rows)
    row = rows[place]
    lot = next(book.lot for book in books if book.symbol == row.symbol)
    volume = max(0, row.volume - lot) if random.random() < 0.5 else 0
    turnover = round(row.turnover * volume / row.volume, 3)
    rows[place] = row._replace(volume=volume, turnover=turnover, is_honest=False)
    snapshots[number] = snapshots[number]._replace(rows=tuple(rows))

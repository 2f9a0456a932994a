"""The ticks that come: pushes, what OpenD pushes again, and the windows of its memory that it is asked for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from worlds.life import ADDED_MS, Life
from worlds.weathers import Weather

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from worlds.market import Book, Hours, Trade
    from worlds.weathers import Plan


class Way(StrEnum):
    """How ticks come."""

    PUSH = "push"
    MADE_GOOD = "made good"
    BACKFILL = "backfill"
    POLL = "poll"


class Told(NamedTuple):
    """A trade as it is told at some time: with which sequence, with how many shares."""

    trade: Trade
    seq: int
    volume: int


class Ticks(NamedTuple):
    """Ticks of one symbol that come together."""

    at_ms: int
    way: Way
    symbol: str
    told: tuple[Told, ...]


def draw_feed(random: Random, plan: Plan, books: list[Book], hours: Hours, life: Life) -> list[Ticks]:
    """Draw what comes on a day. A trade's revision that nobody tells is none: the exchange does not count it."""
    found = [*_pushes(books, life), *_made_good(life), *_backfills(random, plan, books, life)]
    found += _polls(random, plan, books, hours, life)
    for book in books:
        for trade in book.trades:
            revision = trade.revision
            if revision is not None and revision.pushed_ms is None:
                found += _poll_of(random, plan, book, life, revision.made_ms)
    told = {(id(t.trade), t.volume) for ticks in found for t in ticks.told}
    for book in books:
        for trade in book.trades:
            if trade.revision and (id(trade), trade.revision.volume) not in told:
                trade.revision = None
    return found


def _pushes(books: Iterable[Book], life: Life) -> Iterator[Ticks]:
    for book in books:
        for trade in book.trades:
            if not trade.is_lost:
                yield Ticks(trade.pushed_ms, Way.PUSH, book.symbol, (Told(trade, trade.seq, trade.volume),))
            revision = trade.revision
            if revision and revision.pushed_ms is not None and life.hears(revision.pushed_ms, book.symbol):
                yield Ticks(revision.pushed_ms, Way.PUSH, book.symbol, (Told(trade, trade.seq, revision.volume),))


def _made_good(life: Life) -> Iterator[Ticks]:
    for end_ms, trades in life.made_good.items():
        for trade in trades:
            if trade.known_ms is not None and life.hears(end_ms, trade.symbol):
                told = (Told(trade, trade.seq, trade.volume_at(end_ms)),)
                yield Ticks(end_ms + 2, Way.MADE_GOOD, trade.symbol, told)


def _backfills(random: Random, plan: Plan, books: list[Book], life: Life) -> Iterator[Ticks]:
    for away in life.aways:
        for book in books:
            at_ms = away.end_ms + random.randrange(5, 400)
            if away.depth and life.hears(at_ms, book.symbol):
                yield _window(random, plan, book, Way.BACKFILL, at_ms, away.depth)
    if plan.has(Weather.ADDED) and not any(away.end_ms == ADDED_MS for away in life.aways):
        at_ms = ADDED_MS + 200
        if life.hears(at_ms):
            yield _window(random, plan, books[-1], Way.BACKFILL, at_ms, random.choice([3, 40, 1000]))


def _polls(random: Random, plan: Plan, books: list[Book], hours: Hours, life: Life) -> Iterator[Ticks]:
    every_ms = random.choice([0, 0, 120_000, 60_000])
    every_ms = 25_000 if plan.has(Weather.PUSHES_LATE) else every_ms
    for begin_ms, end_ms in hours.blocks if every_ms else ():
        for at_ms in range(begin_ms + random.randrange(every_ms), end_ms + 40_000, every_ms):
            book = random.choice(books)
            if life.hears(at_ms, book.symbol):
                yield _window(random, plan, book, Way.POLL, at_ms, random.choice([10, 50, 1000]))


def _poll_of(random: Random, plan: Plan, book: Book, life: Life, made_ms: int) -> Iterator[Ticks]:
    """A window that tells what was not pushed."""
    at_ms = made_ms + random.randrange(1000, 120_000)
    if life.hears(at_ms, book.symbol):
        yield _window(random, plan, book, Way.POLL, at_ms, 1000)


def _window(random: Random, plan: Plan, book: Book, way: Way, at_ms: int, depth: int) -> Ticks:
    """The last trades in OpenD's memory. Only a poll overtakes pushes."""
    known = [t for t in book.trades if t.known_ms is not None and t.known_ms <= at_ms]
    if way is Way.BACKFILL:
        known = [t for t in known if t.pushed_ms <= at_ms]
    is_odd = book.is_bare_in_windows or plan.has(Weather.RENUMBERED)
    depth = 1 if is_odd and random.random() < 0.5 else depth  # one row too many is the hardest to see
    trades = [*book.yesterday, *known][-depth:]
    if plan.has(Weather.HOLES) and len(trades) > 4 and random.random() < 0.5:
        first = random.randrange(1, len(trades) - 1)
        del trades[first : min(first + random.randrange(1, 6), len(trades) - 1)]
    told: Sequence[Told] = [Told(t, t.seq, t.volume_at(at_ms)) for t in trades]
    if book.is_bare_in_windows:
        told = [t._replace(seq=0) for t in told]
    if plan.has(Weather.RENUMBERED):
        told = [Told(t.trade, (t.trade.traded_ms // 1000 << 32) + n, t.volume) for n, t in enumerate(told, 1)]
    return Ticks(at_ms, way, book.symbol, tuple(told))

"""The worlds that rules are judged by: possible ones, with every trouble in them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from worlds.feed import Ticks, Way
from worlds.life import CONNECTING, MADE_GOOD_MAX, MORNING_MS
from worlds.market import MIDNIGHT_MS
from worlds.snapshots import Row, Snapshot
from worlds.weathers import Weather, draw_plan
from worlds.world import Calendar, World, draw

from hk_tick_collector.journal.events import EVENT
from hk_tick_collector.opend.purpose import Purpose, purpose_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worlds.market import Trade
    from worlds.world import Record

SEEDS: Final = range(300)

each_weather = pytest.mark.parametrize("weather", Weather, ids=lambda weather: weather.name)


@cache
def worlds() -> list[World]:
    """Some of all."""
    return [draw(seed) for seed in SEEDS]


def alone(weather: Weather, count: int) -> Iterator[World]:
    """Worlds of one weather."""
    plans = ((seed, draw_plan(Random(seed))) for seed in range(100_000))
    seeds = (seed for seed, plan in plans if plan.weathers == {weather})
    return (draw(next(seeds)) for _ in range(count))


def ticks_of(world: World) -> Iterator[tuple[Record, Ticks]]:
    """The records with ticks in them."""
    return ((r, r.payload) for r in world.records if isinstance(r.payload, Ticks))


def events_of(world: World, name: str) -> list[Record]:
    """The events of a name."""
    return [r for r in world.records if isinstance(r.payload, dict) and r.payload["event"] == name]


def counted(trade: Trade, at_ms: int) -> int:
    """The shares of a trade that the exchange counts at a moment."""
    if trade.counted_ms is None or trade.counted_ms > at_ms:
        return 0
    revision = trade.revision
    if revision and revision.is_counted and max(revision.made_ms, trade.counted_ms + 1) <= at_ms:
        return revision.volume
    return trade.volume


# ---- no world is impossible


def test_a_snapshot_says_what_the_exchange_had_counted() -> None:
    """But for the low word its volume and turnover are those of some true moment, not later than it was asked for."""
    rows = 0
    for world in worlds():
        books = {book.symbol: book for book in world.books}
        for snapshot in world.snapshots:
            for row in snapshot.rows:
                book = books[row.symbol]
                is_old = row.update_ms is not None and row.update_ms < MIDNIGHT_MS
                if is_old or (not row.is_honest and world.plan.has(Weather.LOW_WORD)):
                    continue
                rows += 1
                assert row.of_ms <= snapshot.asked_ms <= snapshot.at_ms, world.seed
                shares = [(t, counted(t, row.of_ms)) for t in book.trades]
                assert row.volume == sum(volume for _, volume in shares), (world.seed, row)
                turnover = sum(t.price * volume for t, volume in shares)
                assert row.turnover == pytest.approx(turnover, abs=0.002), (world.seed, row)
    assert rows > 10_000


def test_an_honest_snapshot_counts_what_was_traded_before_its_own_time() -> None:
    """Its time is never ahead of its totals, so a rule may rest on it."""
    for world in worlds():
        books = {book.symbol: book for book in world.books}
        for row in (row for snapshot in world.snapshots for row in snapshot.rows if row.is_honest):
            for trade in books[row.symbol].trades:
                if row.update_ms and trade.traded_ms // 1000 < row.update_ms // 1000 and trade.counted_ms is not None:
                    assert trade.counted_ms <= row.of_ms, (world.seed, row, str(trade))


def test_a_snapshot_is_true_where_no_weather_makes_it_otherwise() -> None:
    """It is of the moment at which it was asked for, and says so."""
    untrue = (
        *(Weather.LATE_1, Weather.LATE_10, Weather.LYING_1, Weather.LYING_10, Weather.STALE),
        *(Weather.LOW_WORD, Weather.FROZEN),
    )
    for world in worlds():
        if not world.plan.has(*untrue):
            for snapshot in world.snapshots:
                assert all(row.is_honest and row.of_ms == snapshot.asked_ms for row in snapshot.rows), world.seed


def test_what_comes_is_in_order_and_is_heard() -> None:
    """True time goes on, nothing comes while nobody listens, a push comes but once, a window has what OpenD knows."""
    for world in worlds():
        times = [record.at_ms for record in world.records]
        assert times == sorted(times), world.seed
        pushed: Counter[tuple[int, int]] = Counter()
        for record, ticks in ticks_of(world):
            assert world.life.hears(record.at_ms - 2 * (ticks.way is Way.MADE_GOOD), ticks.symbol), (world.seed, record)
            for told in ticks.told:
                assert told.trade.symbol == ticks.symbol
                assert told.trade.traded_ms < record.at_ms, (world.seed, record)
                assert told.volume in {told.trade.volume, told.trade.volume_at(record.at_ms)}, (world.seed, record)
                if ticks.way is Way.PUSH:
                    pushed[id(told.trade), told.volume] += 1
                elif told.trade.number >= 0:
                    assert told.trade.known_ms is not None, (world.seed, record)
                    assert told.trade.known_ms <= record.at_ms, (world.seed, record)
        assert not pushed or max(pushed.values()) == 1, world.seed


def test_a_reply_has_the_serial_number_of_its_purpose() -> None:
    """No two have the same, and a snapshot's was noted when it was asked for."""
    for world in worlds():
        asked = {r.payload["serial_no"]: r for r in events_of(world, "totals_asked") if isinstance(r.payload, dict)}
        serials = [record.serial_no for record in world.records if record.serial_no]
        assert len(serials) == len(set(serials)), world.seed
        for number, record in enumerate(world.records):
            if isinstance(record.payload, Snapshot):
                assert purpose_of(record.serial_no) is Purpose.TOTALS
                assert world.records.index(asked[record.serial_no]) < number, world.seed
            elif isinstance(record.payload, Ticks) and record.serial_no:
                purpose = Purpose.BACKFILL if record.payload.way is Way.BACKFILL else Purpose.POLL
                assert purpose_of(record.serial_no) is purpose


def test_opend_makes_good_fifty_trades_of_a_symbol_at_most() -> None:
    """As its vendor says."""
    by_symbol = [Counter(t.symbol for t in trades) for w in worlds() for trades in w.life.made_good.values()]
    assert max(max(counts.values(), default=0) for counts in by_symbol) == MADE_GOOD_MAX


def test_each_connect_is_told_whole() -> None:
    """OpenD's state, the resumption, and what is recorded, in this order, before any tick."""
    for world in worlds():
        for away in world.life.aways:
            names = [
                record.payload["event"] if isinstance(record.payload, dict) else type(record.payload).__name__
                for record in world.records
                if record.at_ms == away.end_ms
            ]
            if away.cause in CONNECTING and world.life.hears(away.end_ms):
                names = [name for name in names if name not in {"clock_stepped", "Calendar"}]
                assert names[:3] == ["opend_state", EVENT, "recording"], (world.seed, names)


def test_a_seed_always_draws_the_same_world() -> None:
    """So that what was seen once can be looked at."""
    for world in worlds()[:20]:
        assert list(draw(world.seed).lines()) == list(world.lines())


# ---- every trouble is there


def test_every_weather_occurs_alone_and_mixed_with_losses_and_without() -> None:
    """About half of its worlds have losses."""
    plans = [draw_plan(Random(seed)) for seed in range(4000)]
    for weather in Weather:
        for is_alone in (True, False):
            its = [p for p in plans if weather in p.weathers and (len(p.weathers) == 1) is is_alone]
            assert len(its) >= 40, weather
            assert 0.3 < sum(plan.has_losses for plan in its) / len(its) < 0.7, weather
    assert sum(not plan.weathers for plan in plans) >= 100


def _is_late(world: World, least_ms: int, *, is_honest: bool) -> bool:
    return any(
        snapshot.at_ms - row.of_ms > least_ms and row.is_honest is is_honest
        for snapshot in world.snapshots
        for row in snapshot.rows
    )


def rows_of(world: World) -> list[Row]:
    """Of all snapshots, but those that tell of the day before."""
    rows = [row for snapshot in world.snapshots for row in snapshot.rows]
    return [row for row in rows if row.update_ms is not None and row.update_ms > MIDNIGHT_MS]


def _true_volume(world: World, row: Row) -> int:
    book = next(book for book in world.books if book.symbol == row.symbol)
    return sum(counted(trade, row.of_ms) for trade in book.trades)


def _has_hole(world: World) -> bool:
    """Whether a window lacks something that OpenD knows, in its middle."""
    for record, ticks in ticks_of(world):
        numbers = {told.trade.number for told in ticks.told if told.trade.number >= 0}
        book = next(book for book in world.books if book.symbol == ticks.symbol)
        if record.serial_no and numbers:
            between = range(min(numbers), max(numbers))
            known = {n for n in between if (ms := book.trades[n].known_ms) is not None and ms <= record.at_ms}
            pushed = {n for n in known if book.trades[n].pushed_ms <= record.at_ms}
            if pushed - numbers:
                return True
    return False


def _sequences_differ(world: World) -> bool:
    return any(told.seq != told.trade.seq for _, ticks in ticks_of(world) for told in ticks.told)


def _ends_early(world: World) -> bool:
    return any("killed" in told for told in world.life.told)


# What shows a weather: seen in some worlds of it, and in none without it, but where `_ANYWAY` says so.
TRACES: Final[dict[Weather, Callable[[World], bool]]] = {
    Weather.LATE_1: lambda w: _is_late(w, 560, is_honest=True),
    Weather.LATE_10: lambda w: _is_late(w, 560, is_honest=True),
    Weather.LYING_1: lambda w: _is_late(w, 560, is_honest=False),
    Weather.LYING_10: lambda w: _is_late(w, 560, is_honest=False),
    Weather.STALE: lambda w: _is_late(w, 100_000, is_honest=True),
    Weather.SNAPSHOTS_MISSING: lambda w: not w.snapshots or w.snapshots[-1].at_ms < w.hours.closing_ms,
    Weather.LOW_WORD: lambda w: any(not r.is_honest and r.volume < _true_volume(w, r) for r in rows_of(w)),
    Weather.FROZEN: lambda w: w.life.freeze_ms is not None,
    Weather.PUSHES_LATE: lambda w: any(t.pushed_ms - t.traded_ms > 1000 for book in w.books for t in book.trades),
    Weather.CANCELLED: lambda w: any(told.volume == 0 for _, ticks in ticks_of(w) for told in ticks.told),
    Weather.CORRECTED: lambda w: any(told.volume > told.trade.volume for _, its in ticks_of(w) for told in its.told),
    Weather.NOT_COUNTED: lambda w: any(t.counted_ms is None for book in w.books for t in book.trades),
    Weather.ORDINALS: lambda w: any(not t.seq for book in w.books for t in book.trades),
    Weather.HOST_CLOCK: lambda w: any(abs(r.host_ms - r.at_ms) > 1000 for r in w.records),
    Weather.OPEND_CLOCK: lambda w: w.clocks.opend_error_ms != 0,
    Weather.CALENDAR: lambda w: not any(isinstance(r.payload, Calendar) for r in w.records),
    Weather.HOLES: _has_hole,
    Weather.RENUMBERED: _sequences_differ,
    Weather.EXCHANGE_LOST: lambda w: any(len(away) > 49 for away in w.life.made_good.values()),
    Weather.LATE_START: lambda w: w.records[0].at_ms > w.hours.blocks[0][1],
    Weather.RESTART: lambda w: len(events_of(w, "recording")) > 1,
    Weather.ENDS_EARLY: lambda w: w.life.is_cut_short,
    Weather.WRITERS: lambda w: len(w.cuts) > 1,
    Weather.ADDED: lambda w: len(set(w.life.subscribed_ms.values())) > 1,
    Weather.NO_QUOTA: lambda w: len(w.life.subscribed_ms) < len(w.books),
}
_ANYWAY: Final = (Weather.EXCHANGE_LOST, Weather.RESTART, Weather.WRITERS)


@each_weather
def test_a_weather_leaves_its_trace(weather: Weather) -> None:
    """In some of its own worlds."""
    assert any(TRACES[weather](world) for world in alone(weather, 60))


@each_weather
def test_a_weather_leaves_no_trace_where_it_is_not(weather: Weather) -> None:
    """A world without weathers is undisturbed, so a fault in it is the program's."""
    if weather not in _ANYWAY:
        calm = [world for world in worlds() if not world.plan.weathers]
        assert calm
        assert not [world.seed for world in calm if TRACES[weather](world)]


def test_a_recorder_is_killed_and_comes_back_in_the_morning() -> None:
    """In some worlds for good, in some not before the next trading day."""
    early = [world for world in worlds() if _ends_early(world)]
    assert {world.records[-1].at_ms > MORNING_MS for world in early} == {True, False}


def test_all_ways_to_count_ordinals_occur() -> None:
    """Contiguous, in steps, anew each second, none, with a hole, and none in windows."""
    steps: Counter[str] = Counter()
    for world in worlds():
        for book in world.books:
            ordinals = [trade.seq & 0xFFFFFFFF for trade in book.trades]
            apart = Counter(b - a for a, b in pairwise(ordinals))
            if ordinals and not any(t.seq for t in book.trades):
                steps["none"] += 1
            elif book.is_bare_in_windows:
                steps["pushes only"] += 1
            elif any(step < 0 for step in apart):
                steps["each second"] += 1
            elif ordinals:
                steps["one hole" if apart[2] == 1 else "sparse" if apart[3] else "contiguous"] += 1
    assert len(steps) == 6, steps

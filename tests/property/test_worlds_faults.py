"""No wrong conclusion of a world is overlooked: outcomes that are right in all, and doctored ones, are told apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from worlds.market import AUTO
from worlds.rates import COMPLETE, INCOMPLETE, Fault, alarms_max, judge
from worlds.report import Report, Result, play, shown
from worlds.telling import Gap, Judged, Outcome
from worlds.weathers import Weather
from worlds.world import World, draw

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def worlds() -> list[World]:
    """Some of all."""
    return [draw(seed) for seed in range(150)]


def _first(is_wanted: Callable[[World], bool]) -> tuple[World, Outcome]:
    """A calm world of those that are wanted, as it is, and an outcome that is right in all."""
    world = next(w for w in worlds() if not w.plan.weathers and not w.cuts and is_wanted(w))
    _, outcome = play(world.seed)
    judged = {b.symbol: Judged(INCOMPLETE if world.missing(b) else COMPLETE, (), (), 1 << 60) for b in world.books}
    gaps = tuple(
        Gap(book.symbol, 0, "unknown", None, None, 0, "open", "totals", None, None, None)
        for book in world.books
        if world.missing(book)
    )
    right = outcome._replace(judged=judged, gaps=gaps, doubts=())
    assert not faults(world, right)
    return world, right


def faults(world: World, outcome: Outcome) -> set[Fault]:
    """All that is wrong with an outcome."""
    return {fault for day in judge(world, outcome) for fault in day.faults}


def _lacks(world: World) -> bool:
    return any(t.tick_type == AUTO for book in world.books for t in world.missing(book))


def test_a_false_complete_is_seen() -> None:
    """A day is called COMPLETE of which a trade never came."""
    world, right = _first(_lacks)
    judged = {symbol: it._replace(verdict=COMPLETE) for symbol, it in right.judged.items()}
    assert faults(world, right._replace(judged=judged)) == {Fault.FALSE_COMPLETE}


def test_a_complete_that_leaves_a_type_out_is_none_of_that_type() -> None:
    """What the audit says that it does not cover can't make its verdict false."""
    world, right = _first(_lacks)
    missing = {t.tick_type for book in world.books for t in world.missing(book)}
    names = {1: "AUTO_MATCH", 2: "LATE", 3: "NON_AUTO_MATCH", 6: "ODD_LOT", 7: "AUCTION"}
    judged = {
        symbol: it._replace(verdict=COMPLETE, not_covered=tuple(names[t] for t in missing))
        for symbol, it in right.judged.items()
    }
    assert not faults(world, right._replace(judged=judged))


def test_a_false_filling_is_seen() -> None:
    """A gap is filled, a trade in it never came, and no open gap covers that."""
    world, right = _first(_lacks)
    gaps = tuple(gap._replace(state="filled") for gap in right.gaps)
    assert faults(world, right._replace(gaps=gaps)) == {Fault.FALSE_FILLING}
    assert not faults(world, right._replace(gaps=(*gaps, *(g._replace(resumed_ms=1) for g in right.gaps))))


def test_a_gap_elsewhere_covers_nothing() -> None:
    """Bounds count: a gap that ends before the trade is about something else."""
    world, right = _first(_lacks)
    gaps = tuple(gap._replace(state="filled", after_seq=1) for gap in right.gaps)
    assert not faults(world, right._replace(gaps=gaps))


def test_a_hidden_loss_is_seen() -> None:
    """A trade never came, and neither gap nor doubt nor verdict says so."""
    world, right = _first(_lacks)
    judged = {symbol: it._replace(verdict="UNPROVABLE") for symbol, it in right.judged.items()}
    silent = right._replace(judged=judged, gaps=())
    assert faults(world, silent) == {Fault.HIDDEN_LOSS}
    assert not faults(world, silent._replace(doubts=tuple(right.judged)))


def test_a_false_alarm_is_seen() -> None:
    """A day is called INCOMPLETE of which all came."""
    world, right = _first(lambda w: not any(w.missing(book) for book in w.books))
    judged = {symbol: it._replace(verdict=INCOMPLETE) for symbol, it in right.judged.items()}
    assert faults(world, right._replace(judged=judged)) == {Fault.FALSE_ALARM}


def test_a_row_too_many_and_one_too_few_are_seen() -> None:
    """Whatever sequence they are stored under."""
    world, right = _first(lambda w: any(book.trades for book in w.books))
    (symbol, seq, ts_ms), *rest = right.rows
    assert faults(world, right._replace(rows=(*right.rows, (symbol, -seq, ts_ms)))) == {Fault.DOUBLED}
    assert faults(world, right._replace(rows=tuple(rest))) == {Fault.LOST_ROWS}


def test_a_report_breaks_at_what_must_not_be() -> None:
    """One false COMPLETE, in whatever weather, and one false alarm where the snapshots are true."""
    world, right = _first(lambda w: not any(w.missing(book) for book in w.books))
    (day, *_) = judge(world, right)
    for weathers, fault, is_broken in (
        (frozenset[Weather](), Fault.FALSE_ALARM, True),
        (frozenset({Weather.LATE_10}), Fault.FALSE_ALARM, False),
        (frozenset({Weather.LATE_10}), Fault.FALSE_COMPLETE, True),
        (frozenset({Weather.FROZEN}), Fault.HIDDEN_LOSS, False),
    ):
        report = Report()
        report.add(Result(7, weathers, has_losses=False, days=[replace(day, faults=frozenset({fault}))]))
        assert bool(report.broken) is is_broken, (weathers, fault)
        assert any(line.startswith("all") for line in report.table())


def test_few_alarms_are_allowed_where_one_snapshot_in_a_hundred_is_late() -> None:
    """One in a hundred days, and no more."""
    assert alarms_max({Weather.LATE_1, Weather.HOLES}) == 10
    assert alarms_max({Weather.LATE_1, Weather.STALE}) is None
    assert alarms_max({Weather.HOLES}) == 0


def test_a_world_can_be_looked_at() -> None:
    """What came, what is missing, what was concluded, and what is wrong with that."""
    text = "\n".join(shown(worlds()[0].seed))
    assert "stream_resumed" in text
    assert "snapshot asked" in text
    assert all(book.symbol in text for book in worlds()[0].books)

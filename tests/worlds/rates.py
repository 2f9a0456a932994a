"""What of an outcome is wrong, by symbol's day, and how often that is so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from hk_tick_collector.store.schema import TICK_TYPES
from worlds.market import DAY
from worlds.weathers import Weather

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worlds.market import Book, Trade
    from worlds.telling import Gap, Outcome
    from worlds.world import World

COMPLETE, INCOMPLETE = "COMPLETE", "INCOMPLETE"
SEEDS_SHOWN: Final = 8


class Fault(StrEnum):
    """A wrong conclusion, or a row that is wrong."""

    FALSE_COMPLETE = "false COMPLETE"
    FALSE_FILLING = "false filling"
    HIDDEN_LOSS = "hidden loss"
    FALSE_ALARM = "false alarm"
    DOUBLED = "doubled rows"
    LOST_ROWS = "lost rows"


FORBIDDEN: Final = (Fault.FALSE_COMPLETE, Fault.FALSE_FILLING, Fault.LOST_ROWS)
# Which of equal trades in one second a reply means that begins within it, nobody can tell if its sequences are its own.
AMBIGUOUS: Final = Weather.RENUMBERED
# How many of a thousand days may have a false alarm; None: so many snapshots are untrue that no rule can help.
_ALARMS_MAX: Final[dict[Weather, int | None]] = {
    Weather.LATE_1: 10,
    Weather.LYING_1: 10,
    Weather.LATE_10: None,
    Weather.LYING_10: None,
    Weather.STALE: None,
}


def alarms_max(weathers: Iterable[Weather]) -> int | None:
    """How many of a thousand symbol-days may have a false alarm in these; None: any number."""
    limits = [_ALARMS_MAX.get(weather, 0) for weather in weathers]
    return None if None in limits else max((limit for limit in limits if limit is not None), default=0)


@dataclass(frozen=True)
class SymbolDay:
    """What became of a symbol's day; `missing`: trades; the verdict is '' where the audit does not name it."""

    symbol: str
    missing: int
    verdict: str
    faults: frozenset[Fault]


def judge(world: World, outcome: Outcome) -> list[SymbolDay]:
    """Compare an outcome with the truth, symbol by symbol."""
    return [_judge(world, outcome, book) for book in world.books]


def _judge(world: World, outcome: Outcome, book: Book) -> SymbolDay:
    judged = outcome.judged.get(book.symbol)
    verdict = judged.verdict if judged else ""
    never_came = world.missing(book)
    covered = [t for t in never_came if judged is None or TICK_TYPES[t.tick_type] not in judged.not_covered]
    gaps = [gap for gap in outcome.gaps if gap.symbol == book.symbol]
    bounds = _Bounds(book.symbol, outcome)
    untold = [t for t in never_came if not any(g.state == "open" and bounds.cover(g, t) for g in gaps)]
    faults = set()
    if covered and verdict == COMPLETE:
        faults.add(Fault.FALSE_COMPLETE)
    if any(gap.state == "filled" and bounds.cover(gap, trade) for gap in gaps for trade in untold):
        faults.add(Fault.FALSE_FILLING)
    untold_covered = set(untold) & set(covered)
    if untold_covered and not _is_told(world, outcome, book, untold_covered):
        faults.add(Fault.HIDDEN_LOSS)
    if not never_came and verdict == INCOMPLETE:
        faults.add(Fault.FALSE_ALARM)
    faults.update(_wrong_rows(world, outcome, book))
    return SymbolDay(book.symbol, len(never_came), verdict, frozenset(faults))


def _is_told(world: World, outcome: Outcome, book: Book, untold: Iterable[Trade]) -> bool:
    """Whether somebody who looks learns that the symbol lacks something, or may."""
    judged = outcome.judged.get(book.symbol)
    if book.symbol in outcome.doubts or (judged and judged.verdict == INCOMPLETE):
        return True
    # Of what was never subscribed, or is after the recorder's end, there is no more to say than that.
    end_ms = world.life.end_ms if world.life.is_cut_short else None
    is_after_end = end_ms is not None and all(trade.pushed_ms >= end_ms for trade in untold)
    is_unheard = book.symbol not in world.life.subscribed_ms or is_after_end
    if judged is None or judged.verdict == COMPLETE:
        return False
    # UNPROVABLE says until when the exchange's figures are: what was traded later is not hidden by it.
    known_ms = judged.known_ms
    return is_unheard or known_ms is None or all(trade.traded_ms >= known_ms for trade in untold)


def _wrong_rows(world: World, outcome: Outcome, book: Book) -> Iterator[Fault]:
    """By symbol and second, since not every world has sequences that stay the same."""
    came = Counter(t.traded_ms // 1000 for t in book.trades if t in world.came)
    stored = Counter(ts_ms // 1000 for symbol, _, ts_ms in outcome.rows if symbol == book.symbol)
    if stored - came:
        yield Fault.DOUBLED
    if came - stored and AMBIGUOUS not in world.plan.weathers:
        yield Fault.LOST_ROWS


class _Bounds:
    """Whether gaps of a symbol cover trades, whatever their sequences are."""

    def __init__(self, symbol: str, outcome: Outcome) -> None:
        self._seconds = {seq: ts_ms // 1000 for its, seq, ts_ms in outcome.rows if its == symbol and seq < 0}

    def cover(self, gap: Gap, trade: Trade) -> bool:
        """Whether it is inside; by the second alone where one of them has no sequence of its own."""
        for seq, sign in ((gap.before_seq, 1), (gap.after_seq, -1)):
            if seq is None and sign < 0 and gap.end_ms is not None and trade.traded_ms // 1000 > gap.end_ms // 1000:
                return False  # no tick has come since its end, which is known all the same
            if seq is None:
                continue
            if seq > 0 and trade.seq:
                is_inside = sign * (trade.seq - seq) > 0
            else:
                second = seq >> 32 if seq > 0 else self._seconds.get(seq, trade.traded_ms // 1000)
                is_inside = sign * (trade.traded_ms // 1000 - second) >= 0
            if not is_inside:
                return False
        return True


@dataclass
class Rates:
    """Counts over many symbol-days, and the first seeds of each fault."""

    worlds: int = 0
    days: int = 0
    lossless: int = 0
    complete: int = 0  # of the lossless
    incomplete: int = 0  # of the others
    faults: Counter[str] = field(default_factory=Counter)
    seeds: dict[str, list[int]] = field(default_factory=dict)

    def add(self, seed: int, found: Iterable[SymbolDay]) -> None:
        """Add a world."""
        self.worlds += 1
        for day in found:
            self.days += 1
            self.lossless += not day.missing
            self.complete += not day.missing and day.verdict == COMPLETE
            self.incomplete += bool(day.missing) and day.verdict == INCOMPLETE
            for fault in day.faults:
                self.faults[fault] += 1
                seeds = self.seeds.setdefault(str(fault), [])
                if seed not in seeds and len(seeds) < SEEDS_SHOWN:
                    seeds.append(seed)

    def share(self, part: int, of: int) -> float | None:
        """In percent."""
        return round(100 * part / of, 1) if of else None

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {
            "worlds": self.worlds,
            "symbol_days": self.days,
            "faults": {str(fault): self.faults[fault] for fault in Fault},
            "lossless": self.lossless,
            "lossless_complete_pct": self.share(self.complete, self.lossless),
            "lossy": self.days - self.lossless,
            "lossy_incomplete_pct": self.share(self.incomplete, self.days - self.lossless),
            "seeds": dict(self.seeds),
        }


def too_many(rates: Rates, fault: Fault, most: int = 0) -> Iterator[str]:
    """A line for people, where there are more of a fault than so many in a thousand symbol-days."""
    found = rates.faults[fault]
    if found * 1000 > most * rates.days:
        allowed = f", at most {most / 10:g} % allowed" if most else ""
        yield f"{found} of {rates.days} days with {fault}{allowed}: seeds {rates.seeds[fault]}"


def lines(world: World, outcome: Outcome) -> Iterator[str]:
    """A world and what was made of it, for people."""
    yield from world.lines()
    yield ""
    yield from outcome.lines()
    yield ""
    for day in judge(world, outcome):
        faults = ", ".join(sorted(day.faults)) or "nothing wrong"
        yield f"{DAY} {day.symbol} {day.verdict or 'not named'}: {day.missing} missing: {faults}"

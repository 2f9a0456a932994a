"""Which types of ticks are in the exchange's totals: measured on symbols and days, never assumed. Pure.

A symbol whose day's totals are exactly its ticks shows that all their types are counted. One whose totals are exactly
its ticks without those of some types shows that these are not. Volume and turnover must both be exact. What a symbol
shows counts for the others: that its own totals agree may be a coincidence, in which a lost tick stands for one that is
not counted.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.ledger.counting import OTHERS_MIN, others, tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TYPES_MAX: Final = 3  # taken out together; more than that explains anything
OUTVOTED: Final = 20  # times as many for it as against it: those against it have another reason


class Sums(NamedTuple):
    """Shares, money in the counter's currency, and of how many ticks."""

    volume: int
    turnover: float
    rows: int = 0


class Measured(NamedTuple):
    """What a symbol's day tells of types of ticks.

    Attributes:
        symbol: which.
        exchange: its totals after the close; None: there are none, or revisions make them ambiguous.
        ours: our sums by type.
        agreed: by type, how often its totals were exact in calm moments with such ticks since the one before.
    """

    symbol: str
    exchange: Sums | None
    ours: Mapping[int, Sums]
    agreed: Mapping[int, int]


class Votes(NamedTuple):
    """On one type: how often it was shown to be counted, and not to be."""

    counted: int = 0
    not_counted: int = 0


def without(ours: Mapping[int, Sums], types: Iterable[int]) -> Sums:
    """Our sums without ticks of these types."""
    left_out = frozenset(types)
    kept = [sums for tick_type, sums in ours.items() if tick_type not in left_out]
    return Sums(sum(s.volume for s in kept), sum(s.turnover for s in kept), sum(s.rows for s in kept))


def agrees(exchange: Sums, ours: Mapping[int, Sums], types: Iterable[int] = ()) -> bool:
    """Whether the exchange's totals are ours without these types."""
    kept = without(ours, types)
    return kept.volume == exchange.volume and abs(kept.turnover - exchange.turnover) <= tolerance(kept.rows)


class Types:
    """What a day's symbols show, and what other days have."""

    def __init__(self, symbols: Iterable[Measured], history: Mapping[int, Votes]) -> None:
        """Hold each symbol's totals against its ticks."""
        self._history = history
        self._counted: dict[int, dict[str, int]] = defaultdict(dict)  # by type and symbol, how often that was shown
        self._not_counted: dict[int, dict[str, int]] = defaultdict(dict)
        self._seen: set[int] = set()
        for measured in symbols:
            self._seen.update(measured.ours)
            left_out = _left_out(measured)
            for tick_type, agreed in measured.agreed.items():
                if agreed and tick_type not in (left_out or ()):
                    self._counted[tick_type][measured.symbol] = agreed
            for tick_type, sums in measured.ours.items() if left_out is not None else ():
                if sums.volume:
                    votes = self._not_counted if tick_type in (left_out or ()) else self._counted
                    votes[tick_type].setdefault(measured.symbol, 1)

    @property
    def of_day(self) -> dict[int, Votes]:
        """By type, what this day's symbols have shown."""
        types = sorted({*self._counted, *self._not_counted})
        return {t: Votes(sum(self._counted[t].values()), sum(self._not_counted[t].values())) for t in types}

    @property
    def seen(self) -> set[int]:
        """All types that symbols had on this day, or that other days tell of."""
        return self._seen | self._history.keys()

    def votes(self, tick_type: int, symbol: str) -> Votes:
        """What is known of a type, without the one time that this symbol's own totals may agree by coincidence."""
        before = self._history.get(tick_type, Votes())
        counted, not_counted = self._counted.get(tick_type, {}), self._not_counted.get(tick_type, {})
        return Votes(
            before.counted + others(sum(counted.values()), counted.get(symbol, 0)),
            before.not_counted + others(sum(not_counted.values()), not_counted.get(symbol, 0)),
        )

    def is_counted(self, tick_type: int, symbol: str) -> bool | None:
        """Whether the exchange counts ticks of a type; None: not proven for this symbol."""
        votes = self.votes(tick_type, symbol)
        if votes.counted >= OTHERS_MIN and votes.counted >= OUTVOTED * votes.not_counted:
            return True
        if votes.not_counted >= OTHERS_MIN and votes.not_counted >= OUTVOTED * votes.counted:
            return False
        return None


def _left_out(measured: Measured) -> frozenset[int] | None:
    """The types without which a symbol's totals are exact; none of them where they are so with all; None: never."""
    exchange, ours = measured.exchange, measured.ours
    if exchange is None or not exchange.volume:
        return None
    seen = sorted(tick_type for tick_type, sums in ours.items() if sums.volume)
    for size in range(min(TYPES_MAX, len(seen) - 1) + 1):
        for types in combinations(seen, size):
            if agrees(exchange, ours, types):
                return frozenset(types)
    return None

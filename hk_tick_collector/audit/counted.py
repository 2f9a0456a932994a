"""Which types of ticks are in the exchange's totals: measured on symbols and days, never assumed. Pure.

If a symbol's totals of the day are exactly the sums of its ticks, all types of these ticks are counted. If they are
exactly the sums without some types, these types are not counted. Volume and turnover must both match. Such a match is
evidence for the other symbols. For the symbol itself it may be a coincidence: a lost tick may have the size of a tick
that is not counted.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.ledger.counting import OTHERS_MIN, others, tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TYPES_MAX: Final = 3  # left out together at most; with more, some combination would match by chance
OUTVOTED: Final = 20  # with this many times more votes for than against, those against have another reason


class Sums(NamedTuple):
    """Sums over ticks: shares, money in the counter's currency, and the number of ticks."""

    volume: int
    turnover: float
    rows: int = 0


class Measured(NamedTuple):
    """What a symbol's day shows about types of ticks.

    Attributes:
        symbol: which.
        exchange: its totals after the close; None: there are none, or revisions make them ambiguous.
        ours: our sums by type.
        agreed: by type, how often during the day its totals were exact, with such ticks since the last exact ones.
    """

    symbol: str
    exchange: Sums | None
    ours: Mapping[int, Sums]
    agreed: Mapping[int, int]


class Votes(NamedTuple):
    """How often a type was shown to be counted, and how often not to be counted."""

    counted: int = 0
    not_counted: int = 0


def without(ours: Mapping[int, Sums], types: Iterable[int]) -> Sums:
    """Our sums without the ticks of these types."""
    left_out = frozenset(types)
    kept = [sums for tick_type, sums in ours.items() if tick_type not in left_out]
    return Sums(sum(s.volume for s in kept), sum(s.turnover for s in kept), sum(s.rows for s in kept))


def agrees(exchange: Sums, ours: Mapping[int, Sums], types: Iterable[int] = ()) -> bool:
    """Whether the exchange's totals equal our sums without these types."""
    kept = without(ours, types)
    return kept.volume == exchange.volume and abs(kept.turnover - exchange.turnover) <= tolerance(kept.rows)


class Types:
    """What a day's symbols and other days show about types of ticks."""

    def __init__(self, symbols: Iterable[Measured], history: Mapping[int, Votes]) -> None:
        """Compare each symbol's totals with its ticks; `history`: the votes of other days, by type."""
        self._history = history
        self._counted: dict[int, dict[str, int]] = defaultdict(dict)  # by type and symbol, how often shown
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
        """By type, the votes of this day's symbols."""
        types = sorted({*self._counted, *self._not_counted})
        return {t: Votes(sum(self._counted[t].values()), sum(self._not_counted[t].values())) for t in types}

    @property
    def seen(self) -> set[int]:
        """All types that symbols had on this day, or that other days have votes on."""
        return self._seen | self._history.keys()

    def votes(self, tick_type: int, symbol: str) -> Votes:
        """The votes on a type, less one of this symbol's own on each side, which may be a coincidence."""
        before = self._history.get(tick_type, Votes())
        counted, not_counted = self._counted.get(tick_type, {}), self._not_counted.get(tick_type, {})
        return Votes(
            before.counted + others(sum(counted.values()), counted.get(symbol, 0)),
            before.not_counted + others(sum(not_counted.values()), not_counted.get(symbol, 0)),
        )

    def is_counted(self, tick_type: int, symbol: str) -> bool | None:
        """Whether the exchange counts ticks of a type; None: neither is proven for this symbol."""
        votes = self.votes(tick_type, symbol)
        if votes.counted >= OTHERS_MIN and votes.counted >= OUTVOTED * votes.not_counted:
            return True
        if votes.not_counted >= OTHERS_MIN and votes.not_counted >= OUTVOTED * votes.counted:
            return False
        return None


def _left_out(measured: Measured) -> frozenset[int] | None:
    """The fewest types without which a symbol's totals are exact, possibly none; None: no choice makes them exact."""
    exchange, ours = measured.exchange, measured.ours
    if exchange is None or not exchange.volume:
        return None
    seen = sorted(tick_type for tick_type, sums in ours.items() if sums.volume)
    for size in range(min(TYPES_MAX, len(seen) - 1) + 1):
        for types in combinations(seen, size):
            if agrees(exchange, ours, types):
                return frozenset(types)
    return None

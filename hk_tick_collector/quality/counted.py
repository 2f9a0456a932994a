"""Which types of ticks are in the exchange's totals: measured on a day's symbols, never assumed. Pure.

A type is taken out only where the day says so: symbols with such ticks whose totals are exactly those of all the other
ticks, and not those of all. Volume and turnover must both be exact, so that a lost tick does not pass for a type.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# So many symbols must say that types are not counted, and more than say otherwise.
SYMBOLS_MIN: Final = 2
TYPES_MAX: Final = 3  # taken out together; more than that explains anything

# A day's turnover is a sum of up to millions of doubles, and of the exchange's own roundings.
_TURNOVER_RELATIVE: Final = 1e-6
_TURNOVER_LEAST: Final = 1.0


class Sums(NamedTuple):
    """Shares, and money in the market's currency."""

    volume: int
    turnover: float


class Measured(NamedTuple):
    """A symbol's totals after the close, and our sums by type of tick."""

    exchange: Sums
    ours: Mapping[int, Sums]


def same_turnover(one: float, other: float) -> bool:
    """Whether two turnovers are the same, but for rounding."""
    return abs(one - other) <= max(_TURNOVER_LEAST, _TURNOVER_RELATIVE * abs(other))


def without(measured: Measured, types: Iterable[int]) -> Sums:
    """Our sums without ticks of these types."""
    left_out = frozenset(types)
    kept = [sums for tick_type, sums in measured.ours.items() if tick_type not in left_out]
    return Sums(sum(s.volume for s in kept), sum(s.turnover for s in kept))


def agrees(measured: Measured, types: Iterable[int] = ()) -> bool:
    """Whether the exchange's totals are ours without these types."""
    ours = without(measured, types)
    return ours.volume == measured.exchange.volume and same_turnover(ours.turnover, measured.exchange.turnover)


def not_counted(symbols: Iterable[Measured]) -> frozenset[int]:
    """The types that the exchange does not count, as this day's symbols show; empty: it counts all that were seen."""
    surplus = [m for m in symbols if without(m, ()).volume > m.exchange.volume]
    seen = sorted({tick_type for m in surplus for tick_type in m.ours})
    best: frozenset[int] = frozenset()
    most = 0
    for size in range(1, TYPES_MAX + 1):
        for types in combinations(seen, size):
            # Each of the types must be at work in it: else a smaller set says the same.
            support = sum(agrees(m, types) for m in surplus if any(t in m.ours for t in types))
            if support > most:
                best, most = frozenset(types), support
    contrary = sum(agrees(m) and any(t in m.ours for t in best) for m in symbols)
    return best if most >= SYMBOLS_MIN and most > contrary else frozenset()

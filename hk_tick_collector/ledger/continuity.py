"""The rules of continuity: what a window proves, and what ordinals show. Pure.

A **window** is a reply of GetTicker: one piece of OpenD's memory. If it reaches back to what was stored before an
outage, nothing is missing in between, provided that OpenD itself kept running, and that windows have no holes. If OpenD
had lost its own source, its memory has the same hole as ours, and no window proves anything.

**Ordinals** are evidence if they were measured to count every tick of this symbol on this day. Then a hole shows how
many ticks are missing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.mapping import seq_time_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

# Outages during which OpenD itself kept its source, so that its memory has no hole.
_OPEND_WENT_ON: Final = frozenset(
    {Cause.CONNECTION_LOST, Cause.RECORDER_DOWN, Cause.JOURNAL_FULL, Cause.NOT_SUBSCRIBED}
)

# Ordinals are evidence after this many pairs of consecutive live pushes, if this many in 1,000 were one apart.
PAIRS_MIN: Final = 50
CONTIGUOUS_PER_MILLE: Final = 999

_ORDINAL: Final = 0xFFFFFFFF


def window_proves(cause: Cause, *, reaches_back: bool) -> bool:
    """Whether a window proves that an outage lost nothing; `reaches_back`: to the last tick before the outage."""
    return reaches_back and cause in _OPEND_WENT_ON


def ordinal_of(seq: int) -> int:
    """The low half of a sequence."""
    return seq & _ORDINAL


def begins_the_day(seq: int) -> bool:
    """Whether a sequence is the day's first, where ordinals count: they rise, and start at 1."""
    return ordinal_of(seq) == 1 and seq_time_ms(seq) is not None


def do_count(pairs: int, contiguous: int) -> bool:
    """Whether ordinals count every tick, as measured on that many pairs of consecutive live pushes."""
    return pairs >= PAIRS_MIN and contiguous * 1000 >= pairs * CONTIGUOUS_PER_MILLE


class Hole(NamedTuple):
    """Where ordinals are missing: the stored sequences around it, and how many."""

    before_seq: int
    after_seq: int
    missing: int


def holes_in(sequences: Sequence[int], known: Sequence[tuple[int, int]] = ()) -> list[Hole]:
    """The holes between these sequences, where one ordinal does not follow the one before.

    Args:
        sequences: as stored, in order.
        known: bounds of gaps; a hole within one of these is known already and left out.
    """
    around = [Hole(a, b, ordinal_of(b) - ordinal_of(a) - 1) for a, b in pairwise(sequences)]
    return [
        hole
        for hole in around
        if hole.missing > 0
        and not any(before <= hole.before_seq and hole.after_seq <= after for before, after in known)
    ]


def as_one(holes: Sequence[Hole]) -> Hole | None:
    """Several holes as one: from the beginning of the first to the end of the last, with the sum of what is missing."""
    return Hole(holes[0].before_seq, holes[-1].after_seq, sum(hole.missing for hole in holes)) if holes else None

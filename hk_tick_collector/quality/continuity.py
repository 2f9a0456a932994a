"""The rules of continuity: what proves that nothing is missing, and what proves that something is. Pure.

Owns every conclusion, and no row: `ledger` reads and writes. Four witnesses, the strongest first:

1. **The window.** A GetTicker reply is one uninterrupted piece of OpenD's memory. If it reaches back to what was stored
   before an outage, nothing is missing in between, provided that OpenD itself went on. Where OpenD had lost its own
   source it makes good the last 50 ticks of a symbol: fewer than 50 are all of them.
2. **Ordinals**, where they were measured to count every tick of this symbol on this day. Then holes are numbers.
3. **The exchange's totals** less ours at the same place in the stream, at least and at most (`bounds`).
4. None of these: it stays a doubt. A doubt is never resolved by waiting.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.mapping import seq_time_ms
from hk_tick_collector.resumption import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

# After it has lost the exchange OpenD makes good so many ticks of a symbol, and no more (published).
MADE_GOOD_MAX: Final = 50
_OPEND_LOST_ITS_SOURCE: Final = frozenset({Cause.EXCHANGE_LOST, Cause.KICKED_OUT})

# Ordinals count as evidence from so many consecutive live pushes on, of which so many (in 1,000) were one apart.
PAIRS_MIN: Final = 50
CONTIGUOUS_PER_MILLE: Final = 999
MEASURED_ROWS_MAX: Final = 2000

_ORDINAL: Final = 0xFFFFFFFF


def window_proves(cause: Cause, *, reaches_back: bool, made_good: int) -> bool:
    """Whether a window that reaches back (or does not) to the last tick before an outage proves its time whole.

    Where OpenD was away itself, what it held before may have a hole behind it: then the window alone is no proof.

    Args:
        cause: of the outage.
        reaches_back: the window begins at or before the last tick that was stored before it.
        made_good: ticks since then that OpenD has marked as made good.
    """
    if not reaches_back or cause is Cause.OPEND_DOWN:
        return False
    return cause not in _OPEND_LOST_ITS_SOURCE or made_good < MADE_GOOD_MAX


def begins_the_day(seq: int) -> bool:
    """Whether this sequence is the day's first, by itself: ordinals rise, so none is before 1."""
    return seq & _ORDINAL == 1 and seq_time_ms(seq) is not None


class Stored(NamedTuple):
    """A stored tick, as far as ordinals go."""

    seq: int
    is_live: bool


def ordinals_count(rows: Sequence[Stored]) -> bool:
    """Whether ordinals count every tick, as measured on consecutive live pushes among these rows in their order."""
    pairs = [(a.seq, b.seq) for a, b in pairwise(rows) if a.is_live and b.is_live]
    if len(pairs) < PAIRS_MIN or any(seq_time_ms(seq) is None for _, seq in pairs):
        return False
    contiguous = sum(b & _ORDINAL == (a & _ORDINAL) + 1 for a, b in pairs)
    return contiguous * 1000 >= len(pairs) * CONTIGUOUS_PER_MILLE


class Hole(NamedTuple):
    """Where ordinals are missing: the stored sequences around it, and how many."""

    before_seq: int
    after_seq: int
    missing: int


def holes_in(sequences: Sequence[int], known: Sequence[tuple[int, int]] = ()) -> list[Hole]:
    """The holes between these sequences, where one ordinal does not follow the one before.

    Args:
        sequences: as stored, in order.
        known: bounds of gaps; a hole that is within one of these is none.
    """
    around = [Hole(a, b, (b & _ORDINAL) - (a & _ORDINAL) - 1) for a, b in pairwise(sequences)]
    return [
        hole
        for hole in around
        if hole.missing > 0
        and not any(before <= hole.before_seq and hole.after_seq <= after for before, after in known)
    ]


def hole_in(sequences: Sequence[int], known: Sequence[tuple[int, int]] = ()) -> Hole | None:
    """The holes between these sequences, as one; None where there is none."""
    return as_one(holes_in(sequences, known))


def as_one(holes: Sequence[Hole]) -> Hole | None:
    """Several holes, from the first on to the last, with all that is missing in them."""
    return Hole(holes[0].before_seq, holes[-1].after_seq, sum(hole.missing for hole in holes)) if holes else None


class Pending(NamedTuple):
    """An outage whose volume is not known: a doubt, or a gap that only ordinals have shown.

    Attributes:
        resumed_ms: which.
        difference_before: the exchange's volume less ours at the last snapshot before it, in shares.
    """

    resumed_ms: int
    difference_before: int


class Rise(NamedTuple):
    """The exchange's volume has gone ahead of ours, for good.

    Attributes:
        outages: those (by `resumed_ms`) in which it did; several where no snapshot parts them; none: no outage.
        low: the difference before, in shares.
        high: the difference since.
    """

    outages: tuple[int, ...]
    low: int
    high: int


class TotalsVerdict(NamedTuple):
    """What a snapshot says.

    Attributes:
        proven: outages in which nothing went missing.
        rises: volumes that did; then every pending outage is decided: those in no rise are proven.
        settled: the difference that is explained from now on.
    """

    proven: tuple[int, ...]
    rises: tuple[Rise, ...]
    settled: int


def judge_totals(settled: int, least: int | None, most: int, pending: Sequence[Pending]) -> TotalsVerdict:
    """Judge a snapshot.

    Args:
        settled: the difference that was explained so far.
        least: what is missing at least; None: this one can't say.
        most: what is missing at most.
        pending: outages whose volume is not known, the earliest first.
    """
    proven = tuple(p.resumed_ms for p in pending if most <= p.difference_before)
    if most <= settled:
        return TotalsVerdict(proven, (), most)
    if most != least:
        return TotalsVerdict(proven, (), settled)
    waiting = [p for p in pending if most > p.difference_before]
    # A difference that fell again before the next outage has been made good.
    levels = [most]
    for p in reversed(waiting):
        levels.append(max(settled, min(levels[-1], p.difference_before)))
    levels.reverse()
    rises = []
    low = settled
    outages: tuple[int, ...] = ()
    for p, level in zip(waiting, levels, strict=False):
        if level > low:
            rises.append(Rise(outages, low, level))
            low, outages = level, ()
        outages = (*outages, p.resumed_ms)
    rises.append(Rise(outages, low, most))
    return TotalsVerdict(proven, tuple(rises), most)

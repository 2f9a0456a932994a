"""Which ticks of a day are read, and up to where they were read."""

from __future__ import annotations

from typing import NamedTuple


class Wanted(NamedTuple):
    """Which ticks of a day.

    Attributes:
        columns: as of `parquet.columns.COLUMNS`.
        symbols: sorted; None: all.
        types: numbers of types; None: all.
        without: numbers of types that are left out.
        begin_ms: the first moment, UTC epoch ms; None: from the day's beginning.
        end_ms: the first moment after; None: to the day's end.
    """

    columns: tuple[str, ...]
    symbols: tuple[str, ...] | None = None
    types: frozenset[int] | None = None
    without: frozenset[int] = frozenset()
    begin_ms: int | None = None
    end_ms: int | None = None


class Position(NamedTuple):
    """The last tick that was read of a day: ticks are sorted by symbol and sequence.

    After a symbol whose ticks of one moment were all read, `seq` is the greatest number: later ones are left out.
    """

    symbol: str
    seq: int

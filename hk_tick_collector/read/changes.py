"""What is new in a day's database since it was read last: exact, whatever order the ticks came in.

Owns the statements for it, and what is known of each symbol in between. Ticks may be inserted under any sequence at any
time, and no column tells when a row was committed. But the rows of `ticks` change in three ways only: a row is added;
a row under a made-up sequence is replaced by the same tick's push, under its real one; a tool puts another file in its
place, such as `rebuild`. So:

- `symbol_stats` names the symbols that have changed, and how many rows each has.
- As long as a symbol's made-up sequences (0 and less) are the same, no row was removed, and the rows that are new are
  as many as the count has grown by. They are looked for from the greatest sequence down, until that many are found.
- Otherwise, and in another file, all of the symbol's rows are compared with what is known.

Never writes. Nothing is changed here while a database is read: what was found is taken over by `Known.take`, since a
reading may be discarded and repeated.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.parquet.arrow import PACKED, pack_rows
from hk_tick_collector.parquet.columns import STORED
from hk_tick_collector.read.known_seqs import KnownSeqs
from hk_tick_collector.read.sqlite_day import PORTION_ROWS, is_begun, select_list

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

    from hk_tick_collector.read.wanted import Wanted

    Stats = tuple[Any, ...]
    Row = tuple[Any, ...]

_ALL_STATS: Final = "SELECT * FROM symbol_stats ORDER BY symbol"
_STATS: Final = "SELECT * FROM symbol_stats WHERE symbol = ?"
_FEW: Final = 50  # symbols that are looked up one by one
_MADE_UP: Final = "SELECT seq FROM ticks WHERE symbol = ? AND seq <= 0 ORDER BY seq"
_ROWS: Final = 1  # the place of `rows` in a row of `symbol_stats`
_TS_MS: Final = STORED.index("ts_ms")
_TYPE: Final = STORED.index("tick_type_id")


class Found(NamedTuple):
    """What is new of a symbol.

    Attributes:
        symbol: which.
        stats: its row of `symbol_stats`.
        made_up: its made-up sequences.
        seqs: the new sequences, sorted.
        packed: those of the new ticks that are wanted, see `parquet.arrow.pack_rows`.
    """

    symbol: str
    stats: Stats
    made_up: array[int]
    seqs: array[int]
    packed: bytes


class Changes(NamedTuple):
    """What a reading found; `is_all`: nothing else has changed."""

    found: list[Found]
    is_all: bool


class _Symbol:
    """What is known of a symbol's day."""

    def __init__(self) -> None:
        self.stats: Stats | None = None  # None: compare all of it
        self.made_up = array("q")
        self.seqs = KnownSeqs()


class Known:
    """What was given of a day, and at which state of its database."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}

    def __bool__(self) -> bool:
        return any(known.seqs for known in self._symbols.values())

    def of(self, symbol: str) -> KnownSeqs:
        """The sequences that were given of a symbol."""
        return self._symbols.setdefault(symbol, _Symbol()).seqs

    def take(self, changes: Changes) -> None:
        """Note what was found, so that it is not found again."""
        for one in changes.found:
            known = self._symbols.setdefault(one.symbol, _Symbol())
            known.stats, known.made_up = one.stats, one.made_up
            known.seqs.add(one.seqs)

    def distrust(self) -> None:
        """The database is another file now: compare all rows again."""
        for known in self._symbols.values():
            known.stats = None

    def pack(self) -> None:
        """Use less memory while the day is quiet."""
        for known in self._symbols.values():
            known.seqs.pack()

    def changes_in(self, con: apsw.Connection, path: Path, wanted: Wanted, *, is_silent: bool) -> Changes:
        """Find what is new, until it is `PORTION_ROWS` ticks or more. Changes nothing here: `take` does.

        Args:
            con: a connection to the day's database, without a transaction.
            path: of that database.
            wanted: which ticks are to be given.
            is_silent: the new ticks are not to be given, only known from now on.

        Raises:
            DatabaseError: it is not a day's database of this program, or a row is not a valid tick.
            apsw.Error: it can't be read.
        """
        if not is_begun(con, path):
            return Changes([], is_all=True)
        found: list[Found] = []
        held = 0
        con.execute("BEGIN")  # statistics and ticks of one moment
        try:
            for stats in _stats(con, wanted.symbols):
                symbol = stats[0]
                known = self._symbols.get(symbol) or _Symbol()
                if stats == known.stats and not known.made_up:  # the push of a made-up tick may change no figure
                    continue
                if held >= PORTION_ROWS:
                    return Changes(found, is_all=False)
                one = _look(con, stats, known, wanted, is_silent=is_silent)
                found.append(one)
                held += len(one.seqs)
        finally:
            con.execute("ROLLBACK")
        return Changes(found, is_all=True)


def _stats(con: apsw.Connection, symbols: tuple[str, ...] | None) -> list[Stats]:
    rows: list[Stats] = []
    if symbols is not None and len(symbols) <= _FEW:
        for symbol in symbols:
            rows += con.execute(_STATS, (symbol,)).fetchall()
        return rows
    rows = con.execute(_ALL_STATS).fetchall()
    asked = frozenset(symbols or ())
    return rows if symbols is None else [row for row in rows if row[0] in asked]


def _look(con: apsw.Connection, stats: Stats, known: _Symbol, wanted: Wanted, *, is_silent: bool) -> Found:
    symbol = stats[0]
    made_up = array("q", (seq for (seq,) in con.execute(_MADE_UP, (symbol,))))
    limit = None
    if known.stats is not None and made_up == known.made_up and stats[_ROWS] >= known.stats[_ROWS]:
        limit = stats[_ROWS] - known.stats[_ROWS]
    columns = select_list(() if is_silent else STORED)
    rows = _new_rows(con, symbol, columns, known.seqs, limit)
    seqs = array("q", (row[0] for row in rows))
    packed = b"" if is_silent else pack_rows(symbol, _wanted_of(rows, wanted))
    return Found(symbol, stats, made_up, seqs, packed)


def _new_rows(con: apsw.Connection, symbol: str, columns: str, known: KnownSeqs, limit: int | None) -> list[Row]:
    """The rows that are not known, by sequence; `limit`: how many there are; None: not known how many."""
    if limit == 0:
        return []
    select = f"SELECT {columns} FROM ticks WHERE symbol = ? ORDER BY seq"  # noqa: S608 - our own names
    if not known:
        rows: list[Row] = con.execute(select, (symbol,)).fetchall()
        return rows
    found: list[Row] = []
    cursor = con.cursor()
    try:
        for row in cursor.execute(f"{select} DESC", (symbol,)):
            if row[0] not in known:
                found.append(row)
                if len(found) == limit:
                    break
    finally:
        cursor.close(force=True)
    found.reverse()
    return found


def _wanted_of(rows: list[Row], wanted: Wanted) -> list[Row]:
    if wanted.begin_ms is not None:
        rows = [row for row in rows if row[_TS_MS] >= wanted.begin_ms]
    if wanted.types is not None:
        rows = [row for row in rows if row[_TYPE] in wanted.types]
    return [row for row in rows if row[_TYPE] not in wanted.without] if wanted.without else rows


def runs_of(found: list[Found]) -> list[tuple[str, int]]:
    """The symbols of what was found, and how many wanted ticks each has."""
    return [(one.symbol, len(one.packed) // PACKED.size) for one in found if one.packed]

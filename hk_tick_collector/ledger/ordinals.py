"""Ordinals of a symbol's day: whether they count every tick, measured as ticks come, and where ordinals are missing.

Owns the table `ordinals`. The newest ticks may still be out of order, so callers give the sequence up to which all has
come. Each tick is read once: a call costs as much as what has come since the last one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.ledger.book import Loss
from hk_tick_collector.ledger.continuity import as_one, begins_the_day, do_count, holes_in, ordinal_of
from hk_tick_collector.ledger.filling import FETCHED
from hk_tick_collector.ledger.rows import Doubt
from hk_tick_collector.mapping import seq_time_ms

if TYPE_CHECKING:
    from hk_tick_collector.ledger.book import Book
    from hk_tick_collector.ledger.continuity import Hole

HOPELESS_PAIRS: Final = 1000
ROWS_MAX: Final = 20_000  # measured one by one in one call

_READ = "SELECT measured_seq, pairs, contiguous, searched_seq FROM ordinals WHERE symbol = ?"
_SAVE = (
    "INSERT INTO ordinals VALUES (?,?,?,?,?) ON CONFLICT (symbol) DO UPDATE SET measured_seq = excluded.measured_seq, "
    "pairs = excluded.pairs, contiguous = excluded.contiguous, searched_seq = excluded.searched_seq"
)
_COUNT = f"SELECT count(*), total({FETCHED}), max(seq) FROM ticks WHERE symbol = ? AND seq > ? AND seq <= ?"  # noqa: S608
_SOME = (
    f"SELECT seq, NOT {FETCHED}, recv_ts_ms FROM ticks WHERE symbol = ? AND seq >= ? AND seq <= ? "  # noqa: S608 - ours
    "ORDER BY seq LIMIT ?"
)
_OUTAGES = (
    "SELECT ifnull(since_ms, resumed_ms) AS begin_ms, resumed_ms FROM outages WHERE resumed_ms >= ? AND begin_ms <= ?"
)
_SEQUENCES = "SELECT seq FROM ticks WHERE symbol = ? AND seq >= ? AND seq <= ? ORDER BY seq"
# A hole within an open gap is reported already. A hole within a filled gap is another loss.
_KNOWN = (
    "SELECT ifnull(before_seq, 0), ifnull(after_seq, (end_ms / 1000 + 1) << 32) FROM gaps "
    "WHERE symbol = ? AND state = 'open'"
)
# The day's first tick, unless it came during an outage: ticks lost in that outage may be before it.
_FIRST = """
SELECT seq FROM (SELECT seq, recv_ts_ms FROM ticks WHERE symbol = ? AND seq > 0 ORDER BY seq LIMIT 1)
WHERE NOT EXISTS (SELECT 1 FROM outages WHERE since_ms < recv_ts_ms AND resumed_ms >= recv_ts_ms)"""


class Measured(NamedTuple):
    """What was measured of a symbol.

    Attributes:
        measured_seq: up to this sequence.
        pairs: pairs of consecutive live pushes.
        contiguous: pairs whose ordinals are one apart.
        searched_seq: holes were looked for up to this sequence; None: not yet.
    """

    measured_seq: int = 0
    pairs: int = 0
    contiguous: int = 0
    searched_seq: int | None = None

    @property
    def counts(self) -> bool:
        """Whether ordinals count every tick."""
        return do_count(self.pairs, self.contiguous)

    @property
    def is_hopeless(self) -> bool:
        """Whether ordinals clearly do not count on this day, so that measuring stops."""
        return self.pairs >= HOPELESS_PAIRS and self.contiguous * 10 < self.pairs * 9


def _measured(book: Book, symbol: str) -> Measured:
    """What was measured so far, from memory or from the table."""
    found = book.measured.get(symbol)
    if not isinstance(found, Measured):
        rows = book.all(_READ, (symbol,))
        found = book.measured[symbol] = Measured(*rows[0]) if rows else Measured()
    return found


def _save(book: Book, symbol: str, found: Measured) -> None:
    book.measured[symbol] = found
    book.unsaved.add(symbol)


def save(book: Book) -> None:
    """Store what was measured of all symbols, in one statement."""
    book.con.executemany(_SAVE, [(symbol, *book.measured[symbol]) for symbol in sorted(book.unsaved)])
    book.unsaved.clear()


def measure(book: Book, symbol: str, until_seq: int) -> Measured:
    """Go on measuring up to a sequence. Ticks that come later with a lower sequence are not measured."""
    con, so_far = book.con, _measured(book, symbol)
    begin = so_far.measured_seq
    if until_seq <= begin or so_far.is_hopeless:
        return so_far
    counts: Any = con.execute(_COUNT, (symbol, begin, until_seq)).fetchall()[0]
    count, fetched, last = counts
    if not count:
        return so_far
    # The usual case needs no rows: only live pushes came, and the ordinals rose by exactly their number.
    steps = ordinal_of(last) - ordinal_of(begin)
    searched = so_far.searched_seq
    if begin and not fetched and steps == count and seq_time_ms(last) is not None:
        pairs = contiguous = count
        searched = last if searched == begin else searched  # there is no hole in between
    else:
        rows: list[Any] = con.execute(_SOME, (symbol, max(1, begin), until_seq, ROWS_MAX)).fetchall()
        pairs, contiguous = _count_pairs(rows, con.execute(_OUTAGES, (rows[0][2], rows[-1][2])).fetchall())
        last = rows[-1][0]
    found = Measured(last, so_far.pairs + pairs, so_far.contiguous + contiguous, searched)
    _save(book, symbol, found)
    return found


def _count_pairs(rows: list[Any], outages: list[Any]) -> tuple[int, int]:
    """The number of pairs of consecutive live pushes, and of those whose ordinals are one apart.

    Two pushes with an outage between them are no pair, unless their ordinals are one apart: a loss in the outage says
    nothing about whether ordinals count.
    """
    pairs = contiguous = 0
    for (a, is_live, a_ms), (b, is_also, b_ms) in pairwise(rows):
        if not (is_live and is_also):
            continue
        follows = ordinal_of(b) == ordinal_of(a) + 1 and seq_time_ms(b) is not None
        if follows or not any(since_ms <= b_ms and resumed_ms >= a_ms for since_ms, resumed_ms in outages):
            pairs += 1
            contiguous += follows
    return pairs, contiguous


def new_holes(book: Book, symbol: str, measured: Measured, until_seq: int) -> list[Hole]:
    """The holes since the last search, up to a sequence; empty if ordinals do not count. Notes how far it searched."""
    con = book.con
    begin = measured.searched_seq or 0
    if not measured.counts or until_seq <= begin or begin == measured.measured_seq:
        return []
    counts: Any = con.execute(_COUNT, (symbol, begin, until_seq)).fetchall()[0]
    count, _, last = counts
    if not count:
        return []
    _save(book, symbol, measured._replace(searched_seq=last))
    if begin and ordinal_of(last) - ordinal_of(begin) == count:  # they rose by the number of ticks: no hole
        return []
    sequences = [seq for (seq,) in con.execute(_SEQUENCES, (symbol, max(1, begin), last))]
    known: list[Any] = con.execute(_KNOWN, (symbol,)).fetchall()
    return holes_in(sequences, known)


def search(book: Book, symbol: str, until_seq: int, before_ms: int, at_ms: int) -> None:
    """If ordinals count: write gaps for new holes between stored ticks, and drop the doubts that this decides.

    A doubt is decided once a tick from after its outage is stored. Holes after its beginning become its gap; without a
    hole nothing was lost. Holes that belong to no doubt become a gap with the cause `unknown`.

    Args:
        book: the day's.
        symbol: whose.
        until_seq: search up to this sequence; holes after it may still be filled by what is under way.
        before_ms: decide doubts whose outages were over by then, by the host's clock.
        at_ms: now, by the host's clock.
    """
    measured = measure(book, symbol, until_seq)
    if not measured.counts:
        return
    holes = new_holes(book, symbol, measured, until_seq)
    for doubt in book.doubts(symbol):
        begin = doubt.before_seq
        if doubt.resumed_ms > before_ms or (begin is not None and until_seq <= begin):
            continue
        if begin is None:  # no tick came before the outage: only a first tick with ordinal 1 shows that none is missing
            first = book.all(_FIRST, (symbol,))
            if not first or not begins_the_day(first[0][0]):
                continue
        its = [hole for hole in holes if begin is not None and hole.after_seq > begin]
        if its:
            _tell(book, doubt, its, at_ms)
            holes = [hole for hole in holes if hole not in its]
        book.drop(doubt)
    if holes:
        _tell(book, Doubt(symbol, at_ms, str(Cause.UNKNOWN), None, "", None, None), holes, at_ms)


def _tell(book: Book, doubt: Doubt, holes: list[Hole], at_ms: int) -> None:
    """Write one gap for a doubt's holes. It begins and ends with the ticks around them, not where the doubt does."""
    hole = as_one(holes)
    assert hole is not None
    begun = doubt._replace(before_seq=hole.before_seq, before_ts_ms=book.ts_ms(doubt.symbol, hole.before_seq))
    end_ms = book.ts_ms(doubt.symbol, hole.after_seq)
    book.gap(begun, Loss(hole.after_seq, end_ms, hole.missing, None, at_ms))

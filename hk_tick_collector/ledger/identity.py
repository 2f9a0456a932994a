"""Whether a fetched tick carries the sequence under which it was pushed: measured on each reply, never assumed.

Removing duplicates rests on this premise. One public recorder claims that sequences stay the same, another that OpenD
makes new ones for each request. So each reply is compared with what is stored. If its trades are the same but its
sequences differ, its ticks are matched by content: none is stored twice, and a tick that is really new gets a made-up
sequence, as a tick without one does. If such a tick is pushed later, the push replaces it (`DayDatabase.renumbered`).
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.db import CONTENT
from hk_tick_collector.ledger.premises import Premise, has_held, note_held
from hk_tick_collector.mapping import RECV_TS_MS, SEQ, TS_MS
from hk_tick_collector.store.schema import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.mapping import Row

_PROBES: Final = 3
_KNOWN_MIN: Final = 2

_CONTENT = "seq, ts_ms, price, volume, turnover, direction_id, tick_type_id"
_BY_TIME = f"SELECT {_CONTENT} FROM ticks WHERE symbol = ? AND ts_ms BETWEEN ? AND ?"  # noqa: S608 - columns of ours
_BY_SEQ = f"SELECT {_CONTENT} FROM ticks WHERE symbol = ? AND seq BETWEEN ? AND ?"  # noqa: S608 - columns of ours
_HAS_SEQUENCES = "SELECT 1 FROM ticks WHERE symbol = ? AND seq > 0 LIMIT 1"
# Without the ticks of this reply itself: a replay finds them stored.
_PROBE = (
    "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks "
    "WHERE symbol = ? AND seq = ? AND recv_ts_ms <> ?"
)


class Sifted(NamedTuple):
    """What is to be stored of a reply.

    Attributes:
        rows: the rows to store; a sequence below 0 is made up.
        failed: what was seen, if the premise failed with this reply; None: it holds, or it failed before.
    """

    rows: list[Row]
    failed: str | None


def sift(database: DayDatabase, symbol: str, rows: list[Row]) -> Sifted:
    """Compare a reply's rows of one symbol and day with what is stored.

    Returns all rows while the premise holds, else only those whose content is new.
    """
    con = database.connection
    if symbol in database.renumbered:
        return Sifted(_by_content(con, symbol, rows), None)
    if any(row[SEQ] <= 0 for row in rows):
        if con.execute(_HAS_SEQUENCES, (symbol,)).get is None:
            return Sifted(rows, None)  # its pushes have none either, and get made-up ones by the same rule
        seen = "a reply has ticks without a sequence, and what was pushed has one"
        return Sifted(_by_content(con, symbol, rows), seen)
    if _is_known(con, symbol, rows):
        if not has_held(con, symbol, Premise.SAME_SEQUENCE):
            note_held(con, symbol, Premise.SAME_SEQUENCE)
        return Sifted(rows, None)
    # A reply is one piece of OpenD's memory: what is stored between its first and last tick has to be in it, under the
    # same sequence. Only in its last second may there be a push that the reply does not have yet.
    theirs: dict[int, Any] = {row[SEQ]: _content(row) for row in rows}
    end = min(((max(theirs) >> 32) + 1) << 32, INT64_MAX)
    stored: list[tuple[Any, ...]] = con.execute(_BY_SEQ, (symbol, min(theirs), end)).fetchall()
    same = sum(theirs.get(seq) == tuple(content) for seq, *content in stored)
    alike = (Counter(tuple(content) for _, *content in stored) & Counter(theirs.values())).total()
    expected = min(len(stored), len(theirs))
    # Renumbered means: the same trades, under other sequences. A few differences prove nothing: half is the limit.
    if same * 2 >= expected or alike * 2 < expected:
        return Sifted(rows, None)
    seen = (
        f"of {len(stored)} stored ticks of its time a reply has {alike} by content, and {same} by sequence; "
        f"its first is {min(theirs)}, the first of those {stored[0][0]}"
    )
    return Sifted(_by_content(con, symbol, rows), seen)


def _is_known(con: apsw.Connection, symbol: str, rows: Sequence[Row]) -> bool:
    """Whether two of three sampled rows are stored as they are; one could match by chance. Saves a full comparison."""
    known = 0
    for number in range(_PROBES if len(rows) >= _PROBES else 0):
        row = rows[number * (len(rows) - 1) // (_PROBES - 1)]
        known += con.execute(_PROBE, (symbol, row[SEQ], row[RECV_TS_MS])).fetchone() == _content(row)
    return known >= _KNOWN_MIN


def _by_content(con: apsw.Connection, symbol: str, rows: list[Row]) -> list[Row]:
    """The rows that are not stored yet, by content: if the reply has n equal ticks and m are stored, n - m of them."""
    span = (symbol, min(row[TS_MS] for row in rows), max(row[TS_MS] for row in rows))
    held: Counter[tuple[Any, ...]] = Counter(tuple(content) for _, *content in con.execute(_BY_TIME, span))
    told: Counter[tuple[Any, ...]] = Counter()
    new: list[Row] = []
    for row in rows:
        content = _content(row)
        told[content] += 1
        if told[content] > held[content]:
            new.append((symbol, _made_up(content, told[content]), *row[TS_MS:]))
    return new


def _content(row: Row) -> tuple[Any, ...]:
    content: tuple[Any, ...] = row[CONTENT]  # type: ignore[assignment]  # mypy takes a slice for an index
    return content


def _made_up(content: tuple[Any, ...], number: int) -> int:
    """A stable negative sequence for the n-th tick with that content."""
    digest = blake2b(f"{content!r}={number}".encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "little") & (INT64_MAX >> 1))

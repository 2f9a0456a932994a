"""Whether a fetched tick carries the sequence under which it was pushed: measured on each reply, never assumed.

All that removes duplicates rests on it. One public recorder says that sequences stay the same, another that they are made
for each request. So a reply is held against what is stored of the same time. Where its sequences are others and its trades
are the same, its ticks are told apart by their content: none is stored twice, and what is really new gets a made-up
sequence, as a tick without one does.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.db import CONTENT
from hk_tick_collector.quality.premises import Premise, has_failed
from hk_tick_collector.schema import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from hk_tick_collector.mapping import Row

# A push of a tick that a reply has already told may still be under way: such a tick is left for the next reply.
UNDER_WAY_MS: Final = 15_000
_PROBES: Final = 3
_TS_MS: Final = 2  # the place in a row
_SEQ: Final = 1

_STORED = (
    "SELECT seq, ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? "
    "AND ts_ms BETWEEN ? AND ?"
)
_PROBE = "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? AND seq = ?"


class Sifted(NamedTuple):
    """What is to be stored of a reply.

    Attributes:
        rows: these; a sequence below 0 is made up.
        known: ticks of it that are stored already under another sequence.
        failed: what was seen, where the premise has failed; None: it holds, or can't be told.
    """

    rows: list[Row]
    known: int
    failed: str | None


def sift(con: apsw.Connection, symbol: str, rows: list[Row], exchange_ms: int) -> Sifted:
    """Hold a reply's rows of one symbol against what is stored.

    Args:
        con: the day's.
        symbol: whose.
        rows: of one reply, of this day.
        exchange_ms: the exchange's time when it was received.
    """
    if has_failed(con, symbol, Premise.SAME_SEQUENCE):
        return _by_content(con, symbol, rows, exchange_ms, None)
    if any(row[_SEQ] <= 0 for row in rows) or _is_known(con, symbol, rows):
        return Sifted(rows, 0, None)
    first_ms, last_ms = min(row[_TS_MS] for row in rows), max(row[_TS_MS] for row in rows)
    # Of the reply's first and last second it may have a part only.
    stored: list[tuple[Any, ...]] = con.execute(_STORED, (symbol, first_ms + 1, last_ms - 1)).fetchall()
    theirs: dict[Any, Any] = {row[_SEQ]: _content(row) for row in rows}
    same = sum(theirs.get(seq) == tuple(content) for seq, *content in stored)
    contents = Counter(tuple(content) for _, *content in stored)
    alike = (contents & Counter(map(_content, rows))).total()
    if not stored or same * 2 >= len(stored) or alike * 2 < len(stored):
        return Sifted(rows, 0, None)
    seen = (
        f"of {len(stored)} stored ticks of that time the reply has {alike} by content and {same} by sequence; "
        f"its first sequence is {rows[0][_SEQ]}"
    )
    return _by_content(con, symbol, rows, exchange_ms, seen)


def _is_known(con: apsw.Connection, symbol: str, rows: Sequence[Row]) -> bool:
    """Whether one of some rows is stored under its sequence, which shows that sequences are kept."""
    for number in range(_PROBES):
        row = rows[number * (len(rows) - 1) // (_PROBES - 1)]
        if con.execute(_PROBE, (symbol, row[_SEQ])).fetchone() == _content(row):
            return True
    return False


def _by_content(con: apsw.Connection, symbol: str, rows: list[Row], exchange_ms: int, failed: str | None) -> Sifted:
    """The rows of which more are told than are stored."""
    span = (symbol, min(row[_TS_MS] for row in rows), max(row[_TS_MS] for row in rows))
    held: Counter[tuple[Any, ...]] = Counter(tuple(content) for _, *content in con.execute(_STORED, span))
    told: Counter[tuple[Any, ...]] = Counter()
    new: list[Row] = []
    known = 0
    for row in rows:
        content = _content(row)
        told[content] += 1
        if told[content] <= held[content]:
            known += 1
        elif row[_TS_MS] <= exchange_ms - UNDER_WAY_MS:
            new.append((symbol, _made_up(content, told[content]), *row[_TS_MS:]))
    return Sifted(new, known, failed)


def _content(row: Row) -> tuple[Any, ...]:
    content: tuple[Any, ...] = row[CONTENT]  # type: ignore[assignment]  # mypy takes a slice for an index
    return content


def _made_up(content: tuple[Any, ...], number: int) -> int:
    """A stable negative sequence for the n-th tick of that content."""
    digest = blake2b(f"{content!r}={number}".encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "little") & (INT64_MAX >> 1))

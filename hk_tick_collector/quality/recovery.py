"""What comes late into gaps whose volume is known: so much less is missing, whatever else goes missing meanwhile.

Owns the arithmetic of differences over late ticks, and gaps' bounds once ticks have come behind them. The exchange's
volume less ours is a level that gaps have raised one after the other; when one of them is filled, all levels above it
fall by what came. Never marks a gap as filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.quality.continuity import holes_in
from hk_tick_collector.quality.filling import BETWEEN, END, FOUND_BY

if TYPE_CHECKING:
    import apsw

    from hk_tick_collector.quality.continuity import Hole
    from hk_tick_collector.quality.rows import TotalsRow

# A gap by ordinals with a difference still waits for its volume: no level has been raised for it yet.
_KNOWN = f"""
SELECT resumed_ms, ifnull(before_seq, 0), {END} AS end, missing_volume FROM gaps
WHERE symbol = ? AND end NOT NULL AND (state = 'open' OR filled_ms >= ?)
AND NOT (evidence = 'ordinals' AND difference_before IS NOT NULL)
ORDER BY before_seq, resumed_ms"""  # noqa: S608 - an expression of ours
# What came into a gap since a snapshot: before the last tick that was there then, and behind it.
_CAME = (
    "SELECT ifnull(sum(iif(seq <= :last, volume, 0)), 0), ifnull(sum(volume), 0) FROM ticks "
    "WHERE symbol = :symbol AND seq > :begin AND seq < :end AND (seq > :last OR recv_ts_ms > :since)"
)
_LOWER_GAPS = (
    "UPDATE gaps SET difference_before = difference_before - ? WHERE symbol = ? AND resumed_ms > ? "
    "AND difference_before IS NOT NULL"
)
_LOWER_DOUBTS = (
    "UPDATE doubts SET difference_before = difference_before - ? WHERE symbol = ? AND resumed_ms > ? "
    "AND difference_before IS NOT NULL"
)
# What is behind the last tick that was there when totals told of a gap may be missing for another reason.
_BOUNDS = (
    f"SELECT ifnull(before_seq, 0), ifnull(shown_after_seq, {END}) AS end FROM gaps "  # noqa: S608
    "WHERE symbol = ? AND end NOT NULL AND state = 'open'"
)
_BY_ORDINALS = (
    "SELECT shown_after_seq FROM gaps WHERE symbol = ? AND resumed_ms = ? AND evidence = 'ordinals' "
    "AND difference_before IS NOT NULL"
)
_LEAVE_OPEN = (
    "UPDATE gaps SET after_seq = NULL, after_ts_ms = NULL WHERE symbol = ? AND resumed_ms = ? "
    "AND evidence = 'ordinals' AND difference_before IS NOT NULL"
)
# A fetched tick may be one of those that are missing, unless it was traded later.
_CLOSE_BOUNDS = f"""
UPDATE gaps SET (after_seq, after_ts_ms) = (
  SELECT seq, ts_ms FROM ticks AS k WHERE k.symbol = gaps.symbol
  AND seq > max(ifnull((SELECT our_last_seq {FOUND_BY}), 0), ifnull(before_seq, 0))
  AND (push_type_id = 0 OR ts_ms > ifnull((SELECT until_ms {FOUND_BY}), 0))
  ORDER BY seq LIMIT 1)
WHERE symbol = ? AND after_seq IS NULL AND evidence = 'totals'"""  # noqa: S608


def close_bounds(con: apsw.Connection, symbol: str) -> None:
    """Give the gaps that had no end one, once a tick has come behind all that may be missing in them."""
    con.execute(_CLOSE_BOUNDS, (symbol,))


def leave_open(con: apsw.Connection, symbol: str, resumed_ms: int) -> None:
    """A gap by ordinals may go on behind the last tick: nobody knows, until one has come behind that."""
    con.execute(_LEAVE_OPEN, (symbol, resumed_ms))


def holes_behind(con: apsw.Connection, symbol: str, resumed_ms: int, end_seq: int) -> list[Hole]:
    """The holes from what ordinals have shown of a gap up to `end_seq`, but for those of other gaps."""
    rows: list[tuple[Any, ...]] = con.execute(_BY_ORDINALS, (symbol, resumed_ms)).fetchall()
    if not rows:
        return []
    (after_seq,) = rows[0]
    others = [gap for gap in known_gaps(con, symbol) if gap[0] >= after_seq]
    return holes_in([seq for (seq,) in con.execute(BETWEEN, (symbol, after_seq, end_seq))], others)


def known_gaps(con: apsw.Connection, symbol: str) -> list[tuple[int, int]]:
    """Bounds within which a hole is known already; one within a gap that is filled is another's."""
    rows: list[tuple[Any, ...]] = con.execute(_BOUNDS, (symbol,)).fetchall()
    return [(before_seq, after_seq) for before_seq, after_seq in rows]


def take_recovered(con: apsw.Connection, last: TotalsRow, late: int) -> int:
    """Lower all levels by what came into gaps since the last snapshot; how much that was, in shares.

    Args:
        con: the day's.
        last: that snapshot. What came at that same moment may have stood before it or behind.
        late: how much has come since that is not behind the last tick that was there then, in shares; it tells which
            of the two was so.
    """
    came = _came_since(con, last, last.at_ms - 1)
    if sum(before for before, _ in came.values()) > late:
        came = _came_since(con, last, last.at_ms)
    for resumed_ms, (_, volume) in came.items():
        con.execute(_LOWER_GAPS, (volume, last.symbol, resumed_ms))
        con.execute(_LOWER_DOUBTS, (volume, last.symbol, resumed_ms))
    return sum(volume for _, volume in came.values())


def _came_since(con: apsw.Connection, last: TotalsRow, since_ms: int) -> dict[int, tuple[int, int]]:
    """The volume that came into gaps, by their `resumed_ms`: what is not behind the last tick, and all."""
    found: dict[int, tuple[int, int]] = {}
    begin = 0  # gaps may overlap; a tick counts once
    known: list[tuple[Any, ...]] = con.execute(_KNOWN, (last.symbol, last.at_ms)).fetchall()
    for resumed_ms, before_seq, end_seq, missing_volume in known:
        values = {"symbol": last.symbol, "begin": max(before_seq, begin), "end": end_seq}
        rows: list[tuple[Any, ...]] = con.execute(
            _CAME, {**values, "last": last.our_last_seq or 0, "since": since_ms}
        ).fetchall()
        begin = max(begin, end_seq - 1)
        before, volume = (its if missing_volume is None else min(its, missing_volume) for its in rows[0])
        if volume:
            others = found.get(resumed_ms, (0, 0))
            found[resumed_ms] = others[0] + before, others[1] + volume
    return found

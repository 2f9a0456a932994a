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

# A gap by ordinals with a difference still waits for its volume: no level has been raised for it yet.
_KNOWN = f"""
SELECT resumed_ms, ifnull(before_seq, 0), {END} AS end, missing_volume FROM gaps
WHERE symbol = ? AND end NOT NULL AND (state = 'open' OR filled_ms > ?)
AND NOT (evidence = 'ordinals' AND difference_before IS NOT NULL)
ORDER BY before_seq, resumed_ms"""  # noqa: S608 - an expression of ours
_CAME = "SELECT ifnull(sum(volume), 0) FROM ticks WHERE symbol = ? AND seq > ? AND seq < ? AND recv_ts_ms > ?"
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
    f"SELECT ifnull(before_seq, 0), ifnull(shown_after_seq, {END}) AS end FROM gaps WHERE symbol = ? AND end NOT NULL"  # noqa: S608
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
    """Bounds within which a hole is known already, whether it is filled meanwhile or not."""
    rows: list[tuple[Any, ...]] = con.execute(_BOUNDS, (symbol,)).fetchall()
    return [(before_seq, after_seq) for before_seq, after_seq in rows]


def take_recovered(con: apsw.Connection, symbol: str, since_ms: int, late: int) -> int:
    """Lower all levels by what came into gaps since the last snapshot; how much that was, in shares.

    Args:
        con: the day's.
        symbol: whose.
        since_ms: when the last snapshot was received. What came at that same moment may have stood before it or behind.
        late: how much has come late since, in shares; it tells which of the two was so.
    """
    came = _came_since(con, symbol, since_ms - 1)
    if sum(came.values()) > late:
        came = came and _came_since(con, symbol, since_ms)
    for resumed_ms, volume in came.items():
        con.execute(_LOWER_GAPS, (volume, symbol, resumed_ms))
        con.execute(_LOWER_DOUBTS, (volume, symbol, resumed_ms))
    return sum(came.values())


def _came_since(con: apsw.Connection, symbol: str, since_ms: int) -> dict[int, int]:
    """The volume that came into gaps, by their `resumed_ms`."""
    found: dict[int, int] = {}
    begin = 0  # gaps may overlap; a tick counts once
    known: list[tuple[Any, ...]] = con.execute(_KNOWN, (symbol, since_ms)).fetchall()
    for resumed_ms, before_seq, end_seq, missing_volume in known:
        values = (symbol, max(before_seq, begin), end_seq, since_ms)
        rows: list[tuple[Any, ...]] = con.execute(_CAME, values).fetchall()
        begin = max(begin, end_seq - 1)
        volume = rows[0][0] if missing_volume is None else min(rows[0][0], missing_volume)
        if volume:
            found[resumed_ms] = found.get(resumed_ms, 0) + volume
    return found

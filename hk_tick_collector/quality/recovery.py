"""What comes late into gaps whose volume is known: so much less is missing, whatever else goes missing meanwhile.

Owns the arithmetic of differences over late ticks, and gaps' bounds once ticks have come behind them. The exchange's
volume less ours is a level that gaps have raised one after the other; when one of them is filled, all levels above it
fall by what came. Never marks a gap as filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import apsw

# A gap by ordinals with a difference still waits for its volume: no level has been raised for it yet.
_KNOWN = """
SELECT resumed_ms, ifnull(before_seq, 0), after_seq FROM gaps
WHERE symbol = ? AND after_seq IS NOT NULL AND (state = 'open' OR filled_ms > ?)
AND NOT (evidence = 'ordinals' AND difference_before IS NOT NULL)
ORDER BY before_seq, resumed_ms"""
_CAME = "SELECT ifnull(sum(volume), 0) FROM ticks WHERE symbol = ? AND seq > ? AND seq < ? AND recv_ts_ms > ?"
_LOWER_GAPS = (
    "UPDATE gaps SET difference_before = difference_before - ? WHERE symbol = ? AND resumed_ms > ? "
    "AND difference_before IS NOT NULL"
)
_LOWER_DOUBTS = (
    "UPDATE doubts SET difference_before = difference_before - ? WHERE symbol = ? AND resumed_ms > ? "
    "AND difference_before IS NOT NULL"
)
_BOUNDS = "SELECT ifnull(before_seq, 0), after_seq FROM gaps WHERE symbol = ? AND after_seq IS NOT NULL"
_FIRST_DIFFERENCE = (
    "SELECT volume - our_volume FROM exchange_totals WHERE symbol = ? AND at_ms >= ? ORDER BY at_ms LIMIT 1"
)

_CLOSE_BOUNDS = """
UPDATE gaps SET (after_seq, after_ts_ms) = (
  SELECT seq, ts_ms FROM ticks WHERE symbol = gaps.symbol AND seq > ifnull((
    SELECT our_last_seq FROM exchange_totals t WHERE t.symbol = gaps.symbol AND at_ms <= found_ms
    ORDER BY at_ms DESC LIMIT 1), ifnull(before_seq, 0))
  ORDER BY seq LIMIT 1)
WHERE symbol = ? AND after_seq IS NULL"""


def close_bounds(con: apsw.Connection, symbol: str) -> None:
    """Give the gaps that had no end one, once a tick has come behind all that may be missing in them."""
    con.execute(_CLOSE_BOUNDS, (symbol,))


def first_difference(con: apsw.Connection, symbol: str, since_ms: int) -> int | None:
    """The exchange's volume less ours at the first snapshot since then; None: none has brought anything new."""
    rows: list[tuple[Any, ...]] = con.execute(_FIRST_DIFFERENCE, (symbol, since_ms)).fetchall()
    return rows[0][0] if rows else None


def known_gaps(con: apsw.Connection, symbol: str) -> list[tuple[int, int]]:
    """Bounds within which it is known already that something is, or was, missing."""
    rows: list[tuple[Any, ...]] = con.execute(_BOUNDS, (symbol,)).fetchall()
    return [(before_seq, after_seq) for before_seq, after_seq in rows]


def take_recovered(con: apsw.Connection, symbol: str, since_ms: int, fallen: int) -> int:
    """Lower all levels by what came into gaps since the last snapshot; how much that was, in shares.

    Args:
        con: the day's.
        symbol: whose.
        since_ms: when the last snapshot was received. What came at that same moment may have stood before it or behind.
        fallen: by how much the difference has fallen since; it tells which of the two was so.
    """
    came = _came_since(con, symbol, since_ms - 1)
    if sum(came.values()) != fallen:
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
    for resumed_ms, before_seq, after_seq in known:
        values = (symbol, max(before_seq, begin), after_seq, since_ms)
        rows: list[tuple[Any, ...]] = con.execute(_CAME, values).fetchall()
        begin = max(begin, after_seq - 1)
        if rows[0][0]:
            found[resumed_ms] = found.get(resumed_ms, 0) + rows[0][0]
    return found

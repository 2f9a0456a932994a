"""Counts `symbol_stats` again from `ticks`, after changes to rows that the writer never makes.

Owns that count. Invariant: the result is the same as the writer's own sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.store.schema import FLOAT_MAX, storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

# The volume is summed in two halves: a single sum of absurd volumes would fail with an overflow.
_COUNT = """
SELECT count(*), sum(volume >> 32), sum(volume & 4294967295),
  max(-:limit, min(:limit, ifnull(sum(turnover), 0.0))),
  min(CASE WHEN seq > 0 THEN seq END), max(CASE WHEN seq > 0 THEN seq END),
  min(ts_ms), max(ts_ms), max(recv_ts_ms)
FROM ticks WHERE symbol = :symbol"""


def refresh_stats(con: apsw.Connection, symbols: Iterable[str]) -> None:
    """Count these symbols again, within the caller's transaction; a symbol without ticks gets no row."""
    for symbol in sorted(symbols):
        con.execute("DELETE FROM symbol_stats WHERE symbol = ?", (symbol,))
        found = con.execute(_COUNT, {"symbol": symbol, "limit": FLOAT_MAX}).fetchone()
        assert found is not None
        rows, high, low, *rest = found
        if rows:
            volume = storable((high << 32) + low)
            con.execute("INSERT INTO symbol_stats VALUES (?,?,?,?,?,?,?,?,?)", (symbol, rows, volume, *rest))

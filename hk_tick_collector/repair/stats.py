"""`symbol_stats` counted again from `ticks`, after rows were changed that the writer never changes.

Owns that count. Invariant: it gives what the writer's own adding up would have given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.store.schema import FLOAT_MAX, storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

# The volume in two halves: one sum of numbers that make no sense would be refused as an overflow.
_COUNT = """
SELECT count(*), sum(volume >> 32), sum(volume & 4294967295),
  max(-:limit, min(:limit, ifnull(sum(turnover), 0.0))),
  min(CASE WHEN seq > 0 THEN seq END), max(CASE WHEN seq > 0 THEN seq END),
  min(ts_ms), max(ts_ms), max(recv_ts_ms)
FROM ticks WHERE symbol = :symbol"""


def refresh_stats(con: apsw.Connection, symbols: Iterable[str]) -> None:
    """Count these symbols again, inside of the caller's transaction; one without a tick any more has no row."""
    for symbol in sorted(symbols):
        con.execute("DELETE FROM symbol_stats WHERE symbol = ?", (symbol,))
        found = con.execute(_COUNT, {"symbol": symbol, "limit": FLOAT_MAX}).fetchone()
        assert found is not None
        rows, high, low, *rest = found
        if rows:
            volume = storable((high << 32) + low)
            con.execute("INSERT INTO symbol_stats VALUES (?,?,?,?,?,?,?,?,?)", (symbol, rows, volume, *rest))

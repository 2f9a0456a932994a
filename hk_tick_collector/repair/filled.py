"""Gaps of the one recorder that the other's ticks fill, where two databases are united.

Owns the gaps that only totals have shown: those with ordinals are `quality.ledger`'s. Two ways: the other has exactly
the volume that is missing, inside of the gap's bounds; or the exchange's last word after the close is what the union
has. Never deletes a gap, and fills none in part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.quality.schedule import is_after_close, sessions_of
from hk_tick_collector.schema import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

FILLED_BY = "merge"

# What the other has inside of a gap's bounds, and the one with the gap lacks.
_ADDED = """
SELECT ifnull(sum(o.volume), 0), max(o.recv_ts_ms) FROM {other}.ticks AS o
WHERE o.symbol = ?1 AND o.seq > ?2 AND o.seq < ?3
  AND NOT EXISTS (SELECT 1 FROM {side}.ticks AS s WHERE s.symbol = o.symbol AND s.seq = o.seq)"""
_OPEN_BY_TOTALS = """
SELECT symbol, resumed_ms, cause, before_seq, after_seq, missing_volume FROM {side}.gaps
WHERE state = 'open' AND evidence = 'totals' AND missing_volume IS NOT NULL"""
_FILL = (
    "UPDATE main.gaps SET state = 'filled', filled_ms = ?, filled_by = ? "
    "WHERE symbol = ? AND resumed_ms = ? AND cause = ? AND state = 'open'"
)
_FILL_ALL = (
    "UPDATE main.gaps SET state = 'filled', filled_ms = ?, filled_by = ? "
    "WHERE symbol = ? AND state = 'open' AND (evidence = 'totals' OR after_seq IS NULL)"
)
_LAST_WORD = """
SELECT t.volume, t.until_ms, (SELECT ifnull(sum(volume), 0) FROM main.ticks WHERE symbol = t.symbol),
  (SELECT max(recv_ts_ms) FROM main.ticks WHERE symbol = t.symbol)
FROM main.exchange_totals AS t WHERE t.symbol = ? ORDER BY t.at_ms DESC LIMIT 1"""


def fill_from_other(con: apsw.Connection, side: str, other: str) -> None:
    """Fill the gaps of one attached side with what the other has; a gap that both have open is one in the union."""
    shared = f"SELECT 1 FROM {other}.gaps WHERE (symbol, resumed_ms, cause, state) = (?, ?, ?, 'open')"  # noqa: S608
    gaps: list[tuple[Any, ...]] = con.execute(_OPEN_BY_TOTALS.format(side=side)).fetchall()
    for symbol, resumed_ms, cause, before_seq, after_seq, missing_volume in gaps:
        if con.execute(shared, (symbol, resumed_ms, cause)).get is not None:
            continue
        bounds = (symbol, before_seq or 0, after_seq or INT64_MAX)
        ((volume, recv_ts_ms),) = con.execute(_ADDED.format(side=side, other=other), bounds).fetchall()
        if volume == missing_volume:
            con.execute(_FILL, (recv_ts_ms, FILLED_BY, symbol, resumed_ms, cause))


def fill_by_last_word(con: apsw.Connection, day: str, symbols: Iterable[str]) -> None:
    """Fill all gaps that totals have shown, of symbols whose volume after the close is exactly the union's."""
    trade_date = con.execute("SELECT date_type FROM main.trade_dates WHERE day = ?", (day,)).get
    sessions = sessions_of(day, None if trade_date is None else str(trade_date))
    for symbol in symbols:
        rows: list[tuple[Any, ...]] = con.execute(_LAST_WORD, (symbol,)).fetchall()
        for exchange, until_ms, ours, recv_ts_ms in rows:
            if is_after_close(until_ms, sessions) and exchange == ours:
                con.execute(_FILL_ALL, (recv_ts_ms, FILLED_BY, symbol))

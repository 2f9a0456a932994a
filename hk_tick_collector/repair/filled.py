"""Gaps of one recorder that the other recorder's ticks fill, when two databases are united.

Owns the gaps that only totals have shown; gaps by ordinals are filled as usual. The volume that the other database has
within a gap's bounds is counted towards the gap and stored, so that the order in which databases are united makes no
difference. A gap tells what is missing at least: so it is filled only if the union has what the exchange's last word
says. Never deletes a gap.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw

from hk_tick_collector.db import transaction
from hk_tick_collector.store.schema import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILLED_BY = "merge"

# The volume within a gap's bounds that the other side has, and the side with the gap lacks.
_ADDED = """
SELECT ifnull(sum(o.volume), 0) FROM {other}.ticks AS o
WHERE o.symbol = ?1 AND o.seq > ?2 AND o.seq < ?3
  AND NOT EXISTS (SELECT 1 FROM {side}.ticks AS s WHERE s.symbol = o.symbol AND s.seq = o.seq)"""
_OPEN_BY_TOTALS = """
SELECT symbol, resumed_ms, cause, before_seq, coalesce(after_seq, {end}) FROM {side}.gaps
WHERE state = 'open' AND evidence = 'totals' AND missing_volume IS NOT NULL"""
_COUNT = (
    "UPDATE main.gaps SET merged_volume = merged_volume + ? "
    "WHERE symbol = ? AND resumed_ms = ? AND cause = ? AND state = 'open'"
)
_FILL_ALL = (
    "UPDATE gaps SET state = 'filled', filled_by = ?2, "
    "filled_ms = (SELECT max(recv_ts_ms) FROM ticks WHERE symbol = ?1) "
    "WHERE symbol = ?1 AND state = 'open' AND evidence = 'totals'"
)


def count_from_other(con: apsw.Connection, side: str, other: str, *, has_end: bool) -> None:
    """Count what the other side has towards the gaps of one attached side.

    Args:
        con: the union, with both sides attached.
        side: whose gaps.
        other: whose ticks.
        has_end: whether that side's `gaps` has `end_ms`: until when the missing ticks were traded.
    """
    end = f"(end_ms / 1000 + 1) << 32, {INT64_MAX}" if has_end else str(INT64_MAX)
    select = _OPEN_BY_TOTALS.format(side=side, end=end)
    gaps: list[tuple[Any, ...]] = con.execute(select).fetchall()
    for symbol, resumed_ms, cause, before_seq, end_seq in gaps:
        bounds = (symbol, before_seq or 0, end_seq)
        ((volume,),) = con.execute(_ADDED.format(side=side, other=other), bounds).fetchall()
        if volume:
            con.execute(_COUNT, (volume, symbol, resumed_ms, cause))


def fill_by_last_word(made: Path, symbols: Iterable[str]) -> bool:
    """Mark all gaps by totals as filled, of symbols whose day the exchange's last word proves complete.

    Args:
        made: the union, which no other process knows yet.
        symbols: these symbols.

    Returns:
        Whether there were such gaps.
    """
    with closing(apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READWRITE)) as con, transaction(con):
        before = con.total_changes()
        con.executemany(_FILL_ALL, ((symbol, FILLED_BY) for symbol in symbols))
        return con.total_changes() > before

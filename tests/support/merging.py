"""Two recorders' databases of a day, and what a merge made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.db import DayDatabase, Pragmas
from support.late_ticks import query

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.mapping import Correction, Row

# All that makes a row, and not the order in which a sum was added up.
TABLES = ("ticks", "tick_revisions", "time_corrections", "bad_ticks", "gaps", "doubts", "exchange_totals")
_STATS = (
    "SELECT symbol, rows, volume_sum, round(turnover_sum, 3), first_seq, last_seq, first_ts_ms, last_ts_ms, "
    "last_recv_ts_ms FROM symbol_stats ORDER BY symbol"
)


def record(
    path: Path, rows: Iterable[Row], corrections: Iterable[Correction] = (), bad: Iterable[tuple[Any, ...]] = ()
) -> Path:
    """A database by the real writer's hand, which stores the rows in this order."""
    database = DayDatabase(path, Pragmas(synchronous="OFF"))
    try:
        for row in rows:
            database.store({row[0]: [row]}, {})
        database.store({}, {}, corrections, bad)
    finally:
        database.close()
    return path


def all_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found = {table: sorted(query(path, f"SELECT * FROM {table}")) for table in TABLES}  # noqa: S608
    return {**found, "symbol_stats": query(path, _STATS)}


def versions(path: Path) -> set[tuple[Any, ...]]:
    """Every content of every tick, wherever it is kept: symbol, sequence, time … type."""
    return {row[:8] for table in TABLES[:2] for row in query(path, f"SELECT * FROM {table}")}  # noqa: S608

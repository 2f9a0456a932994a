"""Days for the read API: stored by the real writer's hand, live or over, and archived as the archive does it."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.parquet.layout import ticks_path
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.mapping import Row


class LiveDay:
    """A day's database while a writer has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = DayDatabase(path, Pragmas(synchronous="OFF"))

    def push(self, *rows: Row) -> None:
        """Store rows in one commit, as pushes."""
        self.database.store(_by_symbol(rows), {})

    def fetch(self, *rows: Row) -> None:
        """Store rows in one commit, as a backfill does: one by one."""
        self.database.store({}, _by_symbol(rows))

    def end(self) -> None:
        """Make it one plain file, as a day that is over."""
        self.database.leave_wal()
        self.database.close()


def _by_symbol(rows: Iterable[Row]) -> dict[str, list[Row]]:
    return {symbol: list(some) for symbol, some in groupby(sorted(rows, key=itemgetter(0)), itemgetter(0))}


def store_day(path: Path, rows: Iterable[Row]) -> Path:
    """A day that is over, with these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    day = LiveDay(path)
    day.push(*rows)
    day.end()
    return path


def archive_day(database: Path, *, keeps: bool = False) -> Path:
    """Archive a day with its certificate, if it is sealed, or else with the least that a reader needs of one.

    Returns the path of the archive. `keeps`: the database stays, as in the moment before it is deleted.
    """
    archived = ticks_path(database.parent, database.stem)
    archived.parent.mkdir(parents=True, exist_ok=True)
    con = open_readonly(database)
    try:
        write_ticks(con, archived, _certificate(database, con), lambda *_: None)
    finally:
        con.close()
    if not keeps:
        database.unlink()
    return archived


def _certificate(database: Path, con: Any) -> dict[str, Any]:  # noqa: ANN401 - an apsw.Connection
    if certificate_of(database).exists():
        return certificate_file.read(certificate_of(database))
    counts = con.execute("SELECT symbol, rows FROM symbol_stats ORDER BY symbol").fetchall()
    symbols = [{"symbol": symbol, "rows": rows} for symbol, rows in counts]
    return {"day": database.stem, "rows": sum(rows for _, rows in counts), "symbols": symbols}


def plain(table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a pyarrow.Table
    """The rows of a table, with words in place of dictionaries."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def keys(batches: Iterable[Any]) -> list[tuple[str, int]]:
    """Symbol and sequence of each tick, in their order."""
    return [(row["symbol"], row["seq"]) for batch in batches for row in batch.to_pylist()]

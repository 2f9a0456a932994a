"""Day databases with the notes' incident in them: times of Hong Kong that were stored as if they were UTC's.

Two kinds: ours, and the older one. A tick is told by its right time; `late_ms` is how much too late it is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.store.schema import APPLICATION_ID
from support.ticks import row, seq_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOUR_MS: Final = 3_600_000
LATE_MS: Final = 8 * HOUR_MS

# As earlier recorders made it; the second index is for ticks without a sequence.
OLDER_SCHEMA: Final = """
CREATE TABLE ticks (
  market TEXT NOT NULL, symbol TEXT NOT NULL, ts_ms INTEGER NOT NULL, price REAL, volume INTEGER, turnover REAL,
  direction TEXT, seq INTEGER, tick_type TEXT, push_type TEXT, provider TEXT, trading_day TEXT NOT NULL,
  recv_ts_ms INTEGER NOT NULL, inserted_at_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX uniq_symbol_seq ON ticks (symbol, seq) WHERE seq IS NOT NULL;
CREATE UNIQUE INDEX uniq_content ON ticks (symbol, ts_ms, price, volume, turnover) WHERE seq IS NULL;
CREATE INDEX idx_ticks_symbol_ts ON ticks (symbol, ts_ms);
"""


class Tick(NamedTuple):
    """A tick, as the tests tell of it."""

    symbol: str
    seq: int | None
    ts_ms: int
    late_ms: int = 0
    price: float = 372.4


def tick(symbol: str, ordinal: int, ts_ms: int, late_ms: int = 0, **fields: Any) -> Tick:  # noqa: ANN401 - columns
    """A tick whose sequence tells its right time."""
    return Tick(symbol, seq_at(ordinal, ts_ms), ts_ms, late_ms, **fields)


def make_current(path: Path, ticks: Iterable[Tick], revisions: Iterable[Tick] = ()) -> Path:
    """A database of ours, by the real writer's hand; a revision must be of a tick that is there."""
    made = DayDatabase(path, Pragmas())
    try:
        for one in [*ticks, *revisions]:
            assert one.seq is not None
            told = row(one.symbol, one.seq, one.ts_ms + one.late_ms, price=one.price)
            made.store({one.symbol: [told]}, {})
    finally:
        made.close()
    return path


def make_older(path: Path, ticks: Iterable[Tick], *, dashes: bool = False) -> Path:
    """A database of the older kind, in WAL mode as those are."""
    con = apsw.Connection(str(path))
    con.pragma("journal_mode", "wal")
    if not con.execute("SELECT count(*) FROM sqlite_schema").get:
        con.execute(OLDER_SCHEMA)
    with con:
        for one in ticks:
            ts_ms = one.ts_ms + one.late_ms
            day = hk_day(ts_ms)
            con.execute(
                "INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                ("HK", one.symbol, ts_ms, one.price, 100, 37_240.0, "BUY", one.seq, "AUTO_MATCH", "push", "futu",
                 f"{day[:4]}-{day[4:6]}-{day[6:]}" if dashes else day, one.ts_ms + 40, one.ts_ms + 90),
            )  # fmt: skip
    con.close()
    return path


def query(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - columns
    """What a database holds."""
    con = apsw.Connection(str(path))
    try:
        return con.execute(sql, values).fetchall()
    finally:
        con.close()


def stored(path: Path, table: str = "ticks") -> list[tuple[Any, ...]]:
    """Its ticks: symbol, sequence, time, day, price; in order."""
    return query(path, f"SELECT symbol, seq, ts_ms, trading_day, price FROM {table} ORDER BY 1, 2, 3, 5")  # noqa: S608


def tables(path: Path) -> set[str]:
    """The tables that a database has."""
    return {name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}


def assert_stats_true(path: Path) -> None:
    """`symbol_stats` says what counting says."""
    counted = query(
        path,
        "SELECT symbol, count(*), sum(volume), round(sum(turnover), 3), min(CASE WHEN seq > 0 THEN seq END), "
        "max(CASE WHEN seq > 0 THEN seq END), min(ts_ms), max(ts_ms), max(recv_ts_ms) "
        "FROM ticks GROUP BY symbol ORDER BY symbol",
    )
    told = query(
        path,
        "SELECT symbol, rows, volume_sum, round(turnover_sum, 3), first_seq, last_seq, first_ts_ms, last_ts_ms, "
        "last_recv_ts_ms FROM symbol_stats ORDER BY symbol",
    )
    assert told == counted


def is_current(path: Path) -> bool:
    """Whether a database is of our kind."""
    return query(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def bytes_of(directory: Path) -> dict[str, bytes]:
    """Every file of a directory, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}

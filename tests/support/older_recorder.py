"""Databases as the older recorder (futu_tick_downloader) makes them: with Python's own sqlite3, by its own statements.

Its schema versions 0 (the first) and 2 have no `recv_ts_ms`; version 4 has two more tables. It never set an
application id.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.hktime import parse_time
from support.ticks import seq_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DAY: Final = "20261119"
NEXT_DAY: Final = "20261120"
HOUR_MS: Final = 3_600_000
LATE_MS: Final = 8 * HOUR_MS
OPEN_MS: Final = parse_time(DAY + "093000").ms
AUCTION_MS: Final = parse_time(DAY + "160800").ms  # eight hours later it is the next day

_TICKS: Final = """
CREATE TABLE ticks (
  market TEXT NOT NULL,
  symbol TEXT NOT NULL,
  ts_ms INTEGER NOT NULL,
  price REAL,
  volume INTEGER,
  turnover REAL,
  direction TEXT,
  seq INTEGER,
  tick_type TEXT,
  push_type TEXT,
  provider TEXT,
  trading_day TEXT NOT NULL,
  {received}inserted_at_ms INTEGER NOT NULL
);
CREATE INDEX idx_ticks_symbol_day_ts ON ticks(symbol, trading_day, ts_ms);
CREATE INDEX idx_ticks_symbol_seq ON ticks(symbol, seq);
CREATE UNIQUE INDEX uniq_ticks_symbol_seq ON ticks(symbol, seq) WHERE seq IS NOT NULL;
CREATE UNIQUE INDEX uniq_ticks_symbol_ts_price_vol_turnover
  ON ticks(symbol, ts_ms, price, volume, turnover) WHERE seq IS NULL;
"""
_QUALITY: Final = """
CREATE TABLE gaps (
  trading_day TEXT NOT NULL,
  symbol TEXT NOT NULL,
  gap_start_ts_ms INTEGER NOT NULL,
  gap_end_ts_ms INTEGER NOT NULL,
  gap_sec REAL NOT NULL,
  detected_at_ms INTEGER NOT NULL,
  reason TEXT NOT NULL,
  meta_json TEXT NOT NULL,
  PRIMARY KEY (symbol, gap_start_ts_ms, gap_end_ts_ms)
);
CREATE INDEX idx_gaps_day_symbol ON gaps(trading_day, symbol);
CREATE TABLE daily_quality (
  trading_day TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL,
  host TEXT,
  symbols_json TEXT NOT NULL,
  summary_json TEXT NOT NULL
);
"""
VERSIONS: Final = (0, 2, 3, 4)
_RECEIVED_SINCE: Final = 3
_QUALITY_SINCE: Final = 4


class OldTick(NamedTuple):
    """A row of the older recorder's `ticks`; times in UTC epoch ms."""

    symbol: str
    ts_ms: int
    seq: int | None
    price: Any = 372.4
    volume: Any = 100
    turnover: Any = 37240.0
    direction: Any = "BUY"
    tick_type: Any = "AUTO_MATCH"
    push_type: Any = "push"
    trading_day: str = DAY
    recv_ts_ms: int = 0
    market: str = "HK"


def old_tick(symbol: str, ordinal: int, ts_ms: int = OPEN_MS, late_ms: int = 0, **fields: Any) -> OldTick:  # noqa: ANN401
    """A tick that was traded at `ts_ms`, stored `late_ms` too late, and received half a second after the trade."""
    return OldTick(symbol, ts_ms + late_ms, seq_at(ordinal, ts_ms), recv_ts_ms=ts_ms + 500)._replace(**fields)


def connect(path: Path, version: int = 4, journal_mode: str = "WAL") -> sqlite3.Connection:
    """Make a database, and leave it open as the older recorder does while it records."""
    con = sqlite3.connect(path)
    con.execute(f"PRAGMA journal_mode={journal_mode}")
    con.execute("PRAGMA synchronous=NORMAL")
    received = "recv_ts_ms INTEGER NOT NULL,\n  " if version >= _RECEIVED_SINCE else ""
    con.executescript(_TICKS.format(received=received) + (_QUALITY if version >= _QUALITY_SINCE else ""))
    con.execute(f"PRAGMA user_version={version}")
    con.commit()
    return con


def insert(con: sqlite3.Connection, ticks: Iterable[OldTick], version: int = 4) -> None:
    """Store ticks by its own statement."""
    has_received = version >= _RECEIVED_SINCE
    columns = (
        "market, symbol, ts_ms, price, volume, turnover, direction, seq, tick_type, push_type, provider, trading_day, "
        + ("recv_ts_ms, inserted_at_ms" if has_received else "inserted_at_ms")
    )
    marks = ", ".join("?" * (columns.count(",") + 1))
    con.executemany(
        f"INSERT OR IGNORE INTO ticks ({columns}) VALUES ({marks})",  # noqa: S608 - our own names
        (
            (t.market, t.symbol, t.ts_ms, t.price, t.volume, t.turnover, t.direction, t.seq, t.tick_type, t.push_type,
             "futu", t.trading_day, *([t.recv_ts_ms] if has_received else []), t.recv_ts_ms)
            for t in ticks
        ),
    )  # fmt: skip
    con.commit()


def make_old(path: Path, ticks: Iterable[OldTick], version: int = 4, journal_mode: str = "WAL") -> Path:
    """Make a whole day, at rest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(path, version, journal_mode)) as con:
        insert(con, ticks, version)
    return path


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """The content of a database's ticks, as ours has it: symbol, seq, ts_ms, price, volume, turnover."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
        select = "SELECT symbol, seq, ts_ms, price, volume, turnover FROM ticks ORDER BY symbol, seq, ts_ms"
        return con.execute(select).fetchall()


def states(directory: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes and the time of change of each file in a directory, by name."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


_HOLD: Final = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1])
for statement in sys.argv[2:]:
    con.execute(statement)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path, *statements: str) -> Iterator[None]:
    """Another process has a database open, and has executed statements on it that it does not commit."""
    command = [sys.executable, "-c", _HOLD, str(path), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            holder.kill()

"""Day databases: opening, inserting, seeding, and reading them as others do.

Owns every statement that touches a day database. Never decides which rows exist; `mapping` does. Invariant: a row is in
`ticks` at most once and never changes; what differs from it is in `tick_revisions`; `symbol_stats` tells what `ticks`
holds, since both are written in one transaction.
"""

from __future__ import annotations

import time
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.schema import APPLICATION_ID, MIGRATIONS, VERSION, check_version, day_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.mapping import Correction

Row = tuple[Any, ...]  # a row of `ticks`, in mapping.Tick's order

# ts_ms … tick_type_id: what makes a tick another one, when symbol and sequence are the same.
_CONTENT = slice(2, 8)
_TS_MS = 2

# 8 MiB hold the last leaf of 900 symbols twice over; more is memory that the machine may not have.
CACHE_KIB = 8192

_INSERT = "INSERT INTO {} VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_TICK = _INSERT.format("ticks")
_INSERT_REVISION = _INSERT.format("tick_revisions")
_STORED_CONTENT = (
    "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? AND seq = ?"
)
_ADD_STATS = """
INSERT INTO symbol_stats VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (symbol) DO UPDATE SET
  rows = rows + excluded.rows,
  volume_sum = volume_sum + excluded.volume_sum,
  turnover_sum = turnover_sum + excluded.turnover_sum,
  first_seq = min(ifnull(first_seq, excluded.first_seq), ifnull(excluded.first_seq, first_seq)),
  last_seq = max(ifnull(last_seq, excluded.last_seq), ifnull(excluded.last_seq, last_seq)),
  first_ts_ms = min(first_ts_ms, excluded.first_ts_ms),
  last_ts_ms = max(last_ts_ms, excluded.last_ts_ms),
  last_recv_ts_ms = max(last_recv_ts_ms, excluded.last_recv_ts_ms)
"""
_INSERT_CORRECTION = "INSERT INTO time_corrections VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_BAD = "INSERT INTO bad_ticks VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"


class Pragmas(NamedTuple):
    """How a day database is opened for writing."""

    busy_timeout_ms: int = 5000
    synchronous: str = "FULL"
    wal_autocheckpoint_pages: int = 4000


class Inserted(NamedTuple):
    """What became of rows: new ones, ones that were there already, and ones that were there with other content."""

    new: int
    duplicates: int
    revisions: int


class Seed(NamedTuple):
    """The last that is stored of a symbol: its highest sequence (None: only synthetic ones), and of which day."""

    last_seq: int | None
    last_ts_ms: int
    day: str
    rows: int


class DayDatabase:
    """One day's file, open for writing. There is one writer for a DATA_ROOT, and it alone checkpoints."""

    def __init__(self, path: Path, pragmas: Pragmas) -> None:
        """Open or make the file, and bring it to the current schema.

        Raises:
            DatabaseNewerError: a newer program made it.
            apsw.Error: SQLite could not.
        """
        self.path = path
        self.day = path.stem
        self._pragmas = pragmas
        self._con = apsw.Connection(str(path))
        try:
            self._prepare()
        except BaseException:
            self._con.close()
            raise

    def _prepare(self) -> None:
        con = self._con
        con.set_busy_timeout(self._pragmas.busy_timeout_ms)
        check_version(con.pragma("user_version"), self.path)
        con.pragma("journal_mode", "wal")
        con.pragma("synchronous", self._pragmas.synchronous)
        con.pragma("wal_autocheckpoint", self._pragmas.wal_autocheckpoint_pages)
        con.pragma("cache_size", -CACHE_KIB)
        migrate(con, self.path)

    def pragmas_in_force(self) -> dict[str, object]:
        """What SQLite says is in force on this connection, read back from it."""
        con = self._con
        return {
            "journal_mode": con.pragma("journal_mode"),
            "synchronous": con.pragma("synchronous"),
            "busy_timeout": con.pragma("busy_timeout"),
            "wal_autocheckpoint": con.pragma("wal_autocheckpoint"),
            "page_size": con.pragma("page_size"),
            "user_version": con.pragma("user_version"),
        }

    def close(self) -> None:
        """Close; SQLite checkpoints if this was the last connection."""
        self._con.close()

    def begin(self) -> None:
        """Take the write lock, or fail after the busy timeout."""
        self._con.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self._con.execute("COMMIT")

    def insert(self, rows: list[Row]) -> Inserted:
        """Insert ticks, inside a transaction: new ones into `ticks`, other contents of old ones into revisions.

        All at once first; only when some were there already, one by one, to see which.
        """
        rows.sort()
        con = self._con
        con.execute("SAVEPOINT fast")
        before = con.total_changes()
        con.executemany(_INSERT_TICK, rows)
        if con.total_changes() - before == len(rows):
            con.execute("RELEASE fast")
            self._add_stats(rows)
            return Inserted(len(rows), 0, 0)
        con.execute("ROLLBACK TO fast; RELEASE fast")
        new, revisions = self._insert_singly(rows)
        self._add_stats(new)
        return Inserted(len(new), len(rows) - len(new) - revisions, revisions)

    def _insert_singly(self, rows: list[Row]) -> tuple[list[Row], int]:
        """Insert one by one: (the new rows, how many had other content than what is stored)."""
        con = self._con
        new: list[Row] = []
        revisions = 0
        for row in rows:
            con.execute(_INSERT_TICK, row)
            if con.changes():
                new.append(row)
                continue
            (stored,) = con.execute(_STORED_CONTENT, row[:2])
            if stored != row[_CONTENT]:
                con.execute(_INSERT_REVISION, row)
                revisions += 1
        return new, revisions

    def _add_stats(self, rows: list[Row]) -> None:
        """Add new rows, sorted by symbol and sequence, to `symbol_stats`."""
        stats = []
        for symbol, group in groupby(rows, itemgetter(0)):
            _, seqs, times, _, volumes, turnovers, *_, recvs, _ = zip(*group, strict=True)
            first = next((seq for seq in seqs if seq > 0), None)
            last = seqs[-1] if first is not None else None
            stats.append(
                (symbol, len(seqs), sum(volumes), sum(turnovers), first, last, min(times), max(times), max(recvs))
            )
        self._con.executemany(_ADD_STATS, stats)

    def insert_corrections(self, corrections: Iterable[Correction]) -> None:
        """Keep the originals of times that were corrected; the first of a tick stays."""
        self._con.executemany(_INSERT_CORRECTION, corrections)

    def insert_bad(self, rows: Iterable[Row]) -> int:
        """Keep rows that make no sense: (segment, offset, frame, place, symbol, recv_ts_ms, error, raw) each.

        Returns how many were not kept before.
        """
        before = self._con.total_changes()
        self._con.executemany(_INSERT_BAD, rows)
        return self._con.total_changes() - before

    def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0


def migrate(con: apsw.Connection, path: Path) -> None:
    """Bring a database to the current schema, one version a step, all or nothing."""
    if con.pragma("user_version") == VERSION:
        return
    con.execute("BEGIN IMMEDIATE")
    try:
        check_ours(con, path)
        for step in MIGRATIONS[con.pragma("user_version") :]:
            con.execute(step)
        con.pragma("application_id", APPLICATION_ID)
        con.pragma("user_version", VERSION)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise


def check_ours(con: apsw.Connection, path: Path) -> None:
    """Refuse a file that this program has not made, or a newer one has.

    Raises:
        DatabaseError: it has tables, but no schema version.
        DatabaseNewerError: a newer program made it.
    """
    version = con.pragma("user_version")
    check_version(version, path)
    if version == 0 and con.execute("SELECT count(*) FROM sqlite_schema").get:
        raise DatabaseError(f"{path} was made by another program: move it out of DATA_ROOT, or use another DATA_ROOT")


def open_readonly(path: Path, busy_timeout_ms: int = 5000) -> apsw.Connection:
    """Open a day database as every reader does: `mode=ro`, never immutable, while it is being written.

    Raises:
        DatabaseError: it can't be opened.
        DatabaseNewerError: a newer program made it.
    """
    try:
        con = apsw.Connection(f"file:{_quote(path)}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        con.set_busy_timeout(busy_timeout_ms)
        check_version(con.pragma("user_version"), path)
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    return con


def _quote(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def check_data_root(data_root: Path) -> None:
    """Refuse to start on a DATA_ROOT with a day database that can't be written: newer, foreign, or no database.

    Raises:
        ConfigError: one line that names the file.
    """
    for path in day_files(data_root):
        try:
            con = open_readonly(path)
            try:
                check_ours(con, path)
            finally:
                con.close()
        except apsw.Error as exc:
            raise ConfigError(f"{path} can't be read: {exc}; move it out of DATA_ROOT") from exc
        except DatabaseError as exc:
            raise ConfigError(str(exc)) from exc


def seed_last_seq(data_root: Path, days: int) -> dict[str, Seed]:
    """What is stored last of each symbol, over the newest `days` day databases.

    By sequence alone, never filtered by time: a row whose time is wrong must not hide a sequence (notes, 3.2). Read
    from `symbol_stats`, so its cost does not grow with the ticks.
    """
    seeds: dict[str, Seed] = {}
    for path in day_files(data_root)[-days:]:
        for symbol, stats in read_stats(path).items():
            known = seeds.get(symbol)
            if known is None or (stats.last_seq or 0) >= (known.last_seq or 0):
                seeds[symbol] = Seed(stats.last_seq, stats.last_ts_ms, path.stem, stats.rows)
    return seeds


class SymbolStats(NamedTuple):
    """A row of `symbol_stats`, without its symbol."""

    rows: int
    volume_sum: int
    turnover_sum: float
    first_seq: int | None
    last_seq: int | None
    first_ts_ms: int
    last_ts_ms: int
    last_recv_ts_ms: int


def read_stats(path: Path) -> dict[str, SymbolStats]:
    """`symbol_stats` of a day, by symbol; empty for a file whose first transaction is not there yet."""
    con = open_readonly(path)
    try:
        if con.pragma("user_version") == 0:
            return {}
        return {row[0]: SymbolStats(*row[1:]) for row in con.execute("SELECT * FROM symbol_stats ORDER BY symbol")}
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    finally:
        con.close()


class DayDatabases:
    """The open day databases of the writer: at most `limit`, the least recently used closed first."""

    def __init__(self, data_root: Path, pragmas: Pragmas, *, limit: int = 2, idle_sec: float = 600.0) -> None:
        self._data_root = data_root
        self._pragmas = pragmas
        self._limit = limit
        self._idle_sec = idle_sec
        self._open: dict[str, tuple[DayDatabase, float]] = {}

    def get(self, day: str) -> tuple[DayDatabase, bool]:
        """The day's database, and whether it was opened just now."""
        now = time.monotonic()
        held = self._open.pop(day, None)
        database = held[0] if held else DayDatabase(self._data_root / f"{day}.db", self._pragmas)
        self._open[day] = (database, now)
        for other in list(self._open)[: -self._limit]:
            self._close(other)
        return database, held is None

    def close_idle(self) -> None:
        """Close what was not used for long: yesterday's file is then whole, without a WAL beside it."""
        now = time.monotonic()
        for day, (_, used) in list(self._open.items()):
            if now - used > self._idle_sec:
                self._close(day)

    def close(self) -> None:
        """Close all."""
        for day in list(self._open):
            self._close(day)

    def wal_bytes(self) -> int:
        """The size of all write-ahead logs that are open."""
        return sum(database.wal_bytes() for database, _ in self._open.values())

    def _close(self, day: str) -> None:
        database, _ = self._open.pop(day)
        database.close()


def group_by_day(rows: list[Row], column: int = _TS_MS) -> dict[str, list[Row]]:
    """Rows by the Hong Kong day of a time in them, by default `ts_ms`; nearly always there is one day."""
    times = [row[column] for row in rows]
    first, last = hk_day(min(times)), hk_day(max(times))
    if first == last:
        return {first: rows}
    days: dict[str, list[Row]] = {}
    for row in rows:
        days.setdefault(hk_day(row[column]), []).append(row)
    return days

"""Reads what is stored, as any other process may: it never blocks a writer.

Owns what is known of the stored ticks, and whether a DATA_ROOT can be recorded to. Never writes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector import logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, DatabaseError, DatabaseNewerError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import check_ours, day_files

if TYPE_CHECKING:
    from pathlib import Path

log = logs.get_logger()

UNUSABLE_TOLD = 8  # days that are logged, the newest
ASKING_SEC = 1.0  # how long to wait for another thread that reads the same
SEED_BUSY_TIMEOUT_MS = 500  # a start must not wait for days that another process has locked


class Seed(NamedTuple):
    """The last stored tick of a symbol: its highest sequence (None: only made-up ones), and its day."""

    last_seq: int | None
    last_ts_ms: int
    day: str
    rows: int


def check_today(data_root: Path, today: str) -> None:
    """Refuse to start if today's database is of a newer version, of another program, or unreadable.

    A locked one is accepted: the writer waits for it. So is one that a full or faulty disk keeps from being read, and a
    damaged one: it is made again from the journal. Other days may fail without stopping the recorder.

    Raises:
        ConfigError: one line that names the file.
    """
    path = data_root / f"{today}.db"
    if not path.exists():
        return
    passing = (apsw.IOError, apsw.FullError) if path.is_file() else ()  # SQLite can't read a directory either
    fault = _fault_of(path, apsw.BusyError, *passing, *DAMAGED)
    if fault is not None:
        raise ConfigError(str(fault)) from fault


def unusable_days(data_root: Path) -> dict[Path, str]:
    """The day databases that can't be read, and why; a locked one counts as readable."""
    faults = {path: _fault_of(path, apsw.BusyError) for path in _days_or_none(data_root)}
    return {path: str(fault) for path, fault in faults.items() if fault is not None}


def tell_unusable_days(data_root: Path) -> None:
    """Log the days that can't be read: they don't stop the recording, but the operator should know."""
    faults = unusable_days(data_root)
    for path, fault in list(faults.items())[-UNUSABLE_TOLD:]:
        log.warning("day_unusable", day=path.stem, error=fault, days=len(faults), expected="a day's database")


def _fault_of(path: Path, *allowed: type[apsw.Error]) -> Exception | None:
    """Why a day's database can't be read; None: it can, or the error is an allowed one."""
    try:
        con = open_readonly(path)
        try:
            check_ours(con, path)
        finally:
            con.close()
    except (apsw.Error, DatabaseError) as exc:
        return None if isinstance(exc, allowed) or isinstance(exc.__cause__, allowed) else exc
    return None


def days_so_far(files: list[Path], ahead_ms: int = 0) -> list[Path]:
    """Leave out days in the future: a single tick with a wrong date makes such a database, and it is not today's.

    Returns all of them if all are in the future by the host's clock: then the clock is wrong, or it is a rehearsal.

    Args:
        files: day databases, oldest first.
        ahead_ms: days that begin within this time are kept.
    """
    last = hk_day(wall_ms() + ahead_ms)
    return [path for path in files if path.stem <= last] or files


def future_days(data_root: Path) -> list[str]:
    """The days in the future that have a database; see `days_so_far`."""
    files = day_files(data_root)
    so_far = days_so_far(files)
    return [path.stem for path in files if path not in so_far]


def seed_last_seq(data_root: Path, days: int) -> dict[str, Seed]:
    """The last stored tick of each symbol, over the newest `days` day databases.

    By sequence alone, never filtered by time: a row with a wrong time must not hide a sequence (docs/contract.md).
    Read from `symbol_stats`, so its cost does not grow with the ticks.
    """
    seeds: dict[str, Seed] = {}
    for path in days_so_far(_days_or_none(data_root))[-days:]:
        try:
            found = read_stats(path, SEED_BUSY_TIMEOUT_MS)
        except DatabaseError as exc:
            log.warning("seed_unreadable", path=path, error=exc)
            continue
        for symbol, stats in found.items():
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


def read_stats(path: Path, busy_timeout_ms: int = 5000) -> dict[str, SymbolStats]:
    """`symbol_stats` of a day, by symbol; empty if the first transaction is not committed yet.

    Raises:
        DatabaseError: it can't be read.
    """
    con = open_readonly(path, busy_timeout_ms)
    try:
        if con.pragma("user_version") == 0:
            return {}
        return {row[0]: SymbolStats(*row[1:]) for row in con.execute("SELECT * FROM symbol_stats ORDER BY symbol")}
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    finally:
        con.close()


def _days_or_none(data_root: Path) -> list[Path]:
    """The day databases; empty if DATA_ROOT can't be listed, which must not end a recorder."""
    try:
        return day_files(data_root)
    except OSError as exc:
        log.warning("data_root_unreadable", path=data_root, error=exc)
        return []


class StoredTicks:
    """What is stored in a DATA_ROOT, for planning. Opens the files again on each read, since they come and go."""

    def __init__(self, data_root: Path, recent_days: int) -> None:
        self._data_root = data_root
        self._recent_days = recent_days
        self._asking = threading.Lock()

    def rows_by_symbol(self) -> dict[str, int]:
        """Rows of the newest day that has any, by symbol; {}: nothing can be read, or an earlier call still hangs."""
        if not self._asking.acquire(timeout=ASKING_SEC):
            return {}
        try:
            return self._rows_by_symbol()
        finally:
            self._asking.release()

    def _rows_by_symbol(self) -> dict[str, int]:
        for path in reversed(days_so_far(_days_or_none(self._data_root))[-self._recent_days :]):
            try:
                stats = read_stats(path)
            except DatabaseError:
                continue  # locked or damaged: only the order and depth of fetches depend on it
            if stats:
                return {symbol: row.rows for symbol, row in stats.items()}
        return {}


def newest_day_with_rows(data_root: Path) -> Path | None:
    """The newest day so far whose database holds a tick; None: there is none that can be read.

    The newest file may hold none: a repair moved its rows, or its first transaction is not committed yet.

    Raises:
        DatabaseNewerError: a newer version of this program made the newest; an older day must not hide that.
    """
    files = days_so_far(day_files(data_root))
    for path in reversed(files):
        try:
            if read_stats(path):
                return path
        except DatabaseError as exc:
            if isinstance(exc, DatabaseNewerError) and path == files[-1]:
                raise
            continue  # locked, damaged or not ours: try an older one
    return None


def find_day(root: Path, day: str | None) -> Path:
    """The database of a day; without a day the newest so far with a tick, or simply the newest if none has any.

    Raises:
        ConfigError: there is none; the message says which there are.
        DatabaseNewerError: see `newest_day_with_rows`.
    """
    files = day_files(root)
    if not files:
        raise ConfigError(f"no day database in {root.absolute()}: set DATA_ROOT, or record something first")
    if day is None:
        return newest_day_with_rows(root) or days_so_far(files)[-1]
    for path in files:
        if path.stem == day.replace("-", ""):
            return path
    raise ConfigError(f"no database of {day} in {root.absolute()}: there are {files[0].stem} to {files[-1].stem}")

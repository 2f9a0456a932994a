"""The day databases that the writer has open.

Owns which are open, and when one is closed or turned into one plain file; `seal.open_day` opens one. Never inserts.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import apsw

from hk_tick_collector import logs
from hk_tick_collector.errors import DatabaseError, FileGoneError
from hk_tick_collector.seal.open_day import is_sealed_or_sealing, open_day, settle_day
from hk_tick_collector.store.content_errors import of_day
from hk_tick_collector.store.data_root import identity
from hk_tick_collector.store.known_days import KnownDays
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import requested_day
from hk_tick_collector.store.stored import days_so_far
from hk_tick_collector.store.wal import WalState, journal_mode_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.db import DayDatabase, Pragmas

log = logs.get_logger()

LOOK_BACK_SEC = 600.0
LOOK_BACK_DAYS = 8
LOOK_AT_FILES_SEC = 2.0  # between checks that the open files still have their names


# What this process has open, in any lane: opening and closing such a file in another way would drop SQLite's locks.
_open_here: Counter[Path] = Counter()


class DayDatabases:
    """The open day databases of the writer: at most `limit`; the least recently used is closed first."""

    def __init__(self, data_root: Path, pragmas: Pragmas, *, limit: int = 2, idle_sec: float = 600.0) -> None:
        self._data_root = data_root
        self._pragmas = pragmas
        self._limit = limit
        self._idle_sec = idle_sec
        self._known = KnownDays(data_root)
        self._open: dict[str, tuple[DayDatabase, float]] = {}
        self._files: dict[str, tuple[int, int] | None] = {}  # device and inode of the open ones
        self._looked_at = 0.0
        self._look_back_at = time.monotonic() + LOOK_BACK_SEC  # when to look for days that are over and in WAL mode

    def get(self, day: str) -> tuple[DayDatabase, bool]:
        """The day's database, and whether it was opened just now."""
        now = time.monotonic()
        held = self._open.pop(day, None)
        path = self._data_root / f"{day}.db"
        if held is None and not os.path.lexists(path) and self._known.has(day):
            raise FileGoneError(f"{path} is gone: put it back; or delete journal/cursor.json, to have it made again")
        database = held[0] if held else open_day(path, self._pragmas)
        self._open[day] = (database, now)
        if held is None:
            _open_here[path] += 1
            self._known.add(day)
            self._files[day] = identity(path)
        return database, held is None

    def has(self, day: str) -> bool:
        """Whether that day has a database in which conclusions may be stored: a sealed one is left alone."""
        path = self._data_root / f"{day}.db"
        return day in self._open or (path.exists() and not is_sealed_or_sealing(path))

    def look_at_files(self) -> None:
        """Check now and then that the open files are still those that other processes see.

        Raises:
            DayError: one is gone, or another file has its name.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_AT_FILES_SEC:
            return
        self._looked_at = now
        for day in self._open:
            path = self._data_root / f"{day}.db"
            with of_day(day):
                file = identity(path)
                if file is None or file != self._files[day]:
                    raise FileGoneError(f"{path} is {'gone' if file is None else 'another file than it was'}")

    def trim(self) -> None:
        """Between two transactions: close what is over the limit, was not used for long, or is to be sealed."""
        now = time.monotonic()
        over = set(list(self._open)[: -self._limit])
        wanted = requested_day(self._data_root) if self._open else None
        for day, (_, used) in list(self._open.items()):
            if day in over or now - used > self._idle_sec or day == wanted:
                self._settle(day, is_wanted=day == wanted)
        if now >= self._look_back_at:
            self._look_back_at = now + LOOK_BACK_SEC
            self._settle_past()

    def _settle_past(self) -> None:
        """Settle days that are over and still in WAL mode: after a stop in the evening, or because of a reader."""
        for path in days_so_far(day_files(self._data_root))[-LOOK_BACK_DAYS:-1]:
            if _open_here[path] or path.is_symlink() or not path.is_file():
                continue
            try:
                if journal_mode_of(path) == "wal":
                    settle_day(path, self._pragmas)
            except (apsw.Error, DatabaseError, OSError) as exc:
                # A past day that another process holds, or another program's file, must not stop today's recording.
                log.warning("past_day_not_settled", path=path, error=f"{type(exc).__name__}: {exc}")

    def settle(self) -> None:
        """Close all, between two transactions."""
        for day in list(self._open):
            self._settle(day)

    def close(self) -> None:
        """Close all, whatever state they are in."""
        while self._open:
            self._close(*self._open.popitem()[1])

    def keep_wal_short(self, *, is_busy: bool = False) -> None:
        """Between two transactions: empty the long write-ahead logs."""
        for database, _ in self._open.values():
            database.wal.keep_short(is_busy=is_busy)

    def wal_state(self) -> WalState:
        """The write-ahead logs of all open databases."""
        logs = [database.wal for database, _ in self._open.values()]
        return WalState(
            sum(wal.size_bytes() for wal in logs),
            max((wal.held_sec for wal in logs), default=0.0),
            max((wal.pace_sec() for wal in logs), default=0.0),
        )

    def _settle(self, day: str, *, is_wanted: bool = False) -> None:
        held = self._open.pop(day)
        try:
            if is_wanted or any(path.stem > day for path in days_so_far(day_files(self._data_root))):
                held[0].leave_wal()
        finally:
            self._close(*held)

    @staticmethod
    def _close(database: DayDatabase, _used: float) -> None:
        database.close()
        _open_here[database.path] -= 1

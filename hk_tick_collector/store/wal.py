"""The write-ahead log of a day database that is being written: when it is emptied, and what is done while it can't be.

Owns every checkpoint, and how a file shows that it is in WAL mode. Never runs inside a commit. Invariant: only the one
connection that writes runs checkpoints.

SQLite can empty the log only as far as the oldest reader no longer needs it. A reader that keeps its snapshot for an
hour (a backup, a notebook left open) makes the log grow by every page that a commit touches: at 2,000 ticks/s over 900
symbols that is 6 MB per commit, however few rows it has. So while the log is *held* by a reader and long, commits are
less frequent (`pace_sec`): the same rows then touch each page once. An hour of that takes under 1 GB instead of 30.
Nothing is lost meanwhile, since what is not committed is in the journal. Once the reader is gone, the file is emptied
immediately.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logs.get_logger()

# In a burst the log may grow by this factor: a page that is written repeatedly is then moved only once.
BUSY_FACTOR = 4

PAGE_BYTES = 4096 + 24  # in the log: a page and its header
RETRY_SEC = 1.0  # between checks whether the reader is gone
HELD_TELL_SEC = 10.0  # a shorter read does no harm
HELD_AGAIN_SEC = 60.0

# One second between commits per 10 MB over `long_bytes`: at 6 MB per commit the log then grows with the square root
# of time.
PACE_BYTES_PER_SEC = 10_000_000
PACE_SEC_MAX = 30.0


class WalState(NamedTuple):
    """The write-ahead logs of all open databases: total size, longest time held, and time between commits."""

    size_bytes: int
    held_sec: float
    pace_sec: float


class Wal:
    """The write-ahead log of one open database."""

    def __init__(
        self,
        con: apsw.Connection,
        path: Path,
        checkpoint_pages: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        pace_sec_max: float = PACE_SEC_MAX,
    ) -> None:
        """Replace SQLite's automatic checkpoints, which would run inside the commit that fills the log."""
        self._con = con
        self._path = path.with_name(path.name + "-wal")
        self._checkpoint_pages = checkpoint_pages
        # A file longer than a burst makes it (by default 72 MB) is held by a reader, or has to be shortened.
        self.long_bytes = int(checkpoint_pages * BUSY_FACTOR * PAGE_BYTES * 1.1)
        self._clock = clock
        self._pace_sec_max = pace_sec_max
        self._pages = 0
        self._held_since: float | None = None
        self._try_at = 0.0
        self._told_at: float | None = None
        con.set_wal_hook(self._after_commit)

    def _after_commit(self, _con: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def size_bytes(self) -> int:
        """The size of the log file; 0: there is none."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def held_sec(self) -> float:
        """How long a reader has kept the log from being emptied; 0: none does."""
        return 0.0 if self._held_since is None else self._clock() - self._held_since

    def pace_sec(self) -> float:
        """The time between two commits while the log is held and long; 0: as usual."""
        if self._held_since is None:
            return 0.0
        return min(self._pace_sec_max, max(0.0, (self.size_bytes() - self.long_bytes) / PACE_BYTES_PER_SEC))

    def keep_short(self, *, is_busy: bool = False) -> None:
        """Move the log into the database once it is long, and shorten its file. Call it between two transactions.

        Args:
            is_busy: there is more to store immediately.

        Raises:
            apsw.Error: the disk failed.
        """
        now = self._clock()
        if self._held_since is None:
            if self._pages < self._checkpoint_pages * (BUSY_FACTOR if is_busy else 1):
                return
        elif now < self._try_at:
            return
        self._try_at = now + RETRY_SEC
        in_log, moved = self._con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._pages = 0
        # Held even if all of it is in the database already: while a reader uses the log, no commit can restart it.
        if moved < in_log or (self.size_bytes() > self.long_bytes and not self._truncate()):
            self._held_since = now if self._held_since is None else self._held_since
            self._tell_held(now)
            return
        if self._told_at is not None:
            log.info("wal_released", path=self._path, held_sec=round(self.held_sec, 1), wal_bytes=self.size_bytes())
        self._held_since = self._told_at = None

    def _truncate(self) -> bool:
        """Empty the file, without waiting. False: a reader still needs it."""
        busy_timeout_ms = self._con.pragma("busy_timeout")
        self._con.set_busy_timeout(0)
        try:
            self._con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        finally:
            self._con.set_busy_timeout(busy_timeout_ms)
        return True

    def _tell_held(self, now: float) -> None:
        if self.held_sec < HELD_TELL_SEC or self.size_bytes() < self.long_bytes:
            return
        if self._told_at is None or now - self._told_at >= HELD_AGAIN_SEC:
            self._told_at = now
            log.warning(
                "wal_held",
                path=self._path,
                held_sec=round(self.held_sec, 1),
                wal_bytes=self.size_bytes(),
                commit_every_sec=round(self.pace_sec(), 1),
                expected="no reader that keeps its snapshot: end its transaction (lsof shows who has the file open)",
            )


def journal_mode_of(path: Path) -> str:
    """`wal`, `no wal`, `empty file` or `unknown`: bytes 18 and 19 of a database are 2 in WAL mode and 1 in the others.

    Never call it for a file to which this process has a connection: closing another descriptor of the file drops that
    connection's locks.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        header = file.read(20)
    return {b"\x02\x02": "wal", b"\x01\x01": "no wal", b"": "empty file"}.get(header[18:20], "unknown")

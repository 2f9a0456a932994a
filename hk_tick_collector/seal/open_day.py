"""How a day's database comes to be open for writing, and one plain file again.

Owns what becomes of a seal, and of files that lie in the way. Invariant: a day's seal is gone from the disk before the
first byte of its database changes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from shutil import rmtree
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.db import DayDatabase
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.data_root import sync
from hk_tick_collector.store.sealed import day_open_lock, is_sealed, reopen, requested_day

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.db import Pragmas

log = logs.get_logger()


def is_away(path: Path) -> bool:
    """Whether a day is certified, and its database kept elsewhere. Nothing opens it, and none is made in its place."""
    return is_sealed(path) and not path.exists()


def open_day(path: Path, pragmas: Pragmas) -> DayDatabase:
    """Open or make a day's database for writing; one that is sealed is not any more.

    Raises:
        DatabaseNewerError: a newer program made it.
        DatabaseError: it is just being sealed, for longer than that should take; or it is a link to nothing.
        apsw.Error, OSError: it could not be opened.
    """
    if path.is_symlink() and not path.exists():  # its disk may not be mounted; SQLite would make a file there
        raise DatabaseError(f"{path} is a link to {path.readlink()}, which is not there: mount it, or put it back")
    with day_open_lock(path.parent):
        number = reopen(path)
        if number is not None:
            log.warning("day_reopened", day=path.stem, certificate=number)
        if not path.exists():
            _make(path, pragmas)
        return DayDatabase(path, pragmas)


def _make(path: Path, pragmas: Pragmas) -> None:
    """Make an empty database that has its place when it has its tables: whoever opens it then finds these."""
    scratch = path.with_name(f".new-{path.stem}")
    rmtree(scratch, ignore_errors=True)  # left by one that was killed
    scratch.mkdir()
    DayDatabase(scratch / path.name, pragmas).close()
    for suffix in ("-wal", "-shm"):  # of one that was taken away alone: SQLite would store it over the new one
        left = path.with_name(path.name + suffix)
        if left.exists():
            left.rename(_kept_as(left, "left"))
    (scratch / path.name).rename(path)
    sync(path.parent)
    scratch.rmdir()


def _kept_as(path: Path, why: str) -> Path:
    """`20261120.db.damaged-20261120T013012Z`: another name for a file that is not deleted."""
    return path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def set_aside(path: Path) -> Path:
    """Give a damaged database another name, whole, with what lies beside it; which one."""
    kept = _kept_as(path, "damaged")
    with day_open_lock(path.parent):
        for suffix in ("-wal", "-shm", ""):  # the file itself at last: until then it is found and moved again
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept


def settle_day(path: Path, pragmas: Pragmas) -> bool:
    """Make a day's database, unless it is sealed, one plain file of today's schema. Whether it is; False: it is in use.

    Raises:
        DatabaseError, apsw.Error, OSError: as `open_day`.
    """
    with day_open_lock(path.parent):
        if is_sealed(path):
            return True
        database = DayDatabase(path, pragmas)
        try:
            return database.leave_wal()
        finally:
            database.close()


def is_sealed_or_sealing(path: Path) -> bool:
    """Whether a day is sealed, or just being so: it is opened for something new alone."""
    return is_sealed(path) or requested_day(path.parent) == path.stem

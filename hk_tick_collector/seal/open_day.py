"""Opens a day's database for writing, and makes it one plain file again.

Owns what happens to its seal, and to files that are in the way. Invariant: a day's seal is gone from the disk before
the first byte of its database changes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from shutil import rmtree
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.db import DayDatabase
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.store.data_root import sync
from hk_tick_collector.store.sealed import day_open_lock, is_sealed, reopen, requested_day

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.db import Pragmas

log = logs.get_logger()


def is_away(path: Path) -> bool:
    """Whether a day is sealed or archived and its database not here. Then no database is opened or made for it."""
    return not path.exists() and (is_sealed(path) or is_archived(path))


def open_day(path: Path, pragmas: Pragmas) -> DayDatabase:
    """Open or make a day's database for writing; this takes the seal off a sealed day.

    Raises:
        DatabaseNewerError: a newer version of this program made it.
        DatabaseError: another process holds `day_open_lock` for too long; or it is a link whose target is missing.
        apsw.Error, OSError: it can't be opened.
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
    """Make an empty database, and move it into place once it has its tables, so that every reader finds them."""
    scratch = path.with_name(f".new-{path.stem}")
    rmtree(scratch, ignore_errors=True)  # left by a process that was killed
    scratch.mkdir()
    DayDatabase(scratch / path.name, pragmas).close()
    move_logs_aside(path)
    (scratch / path.name).rename(path)
    sync(path.parent)
    scratch.rmdir()


def move_logs_aside(path: Path) -> None:
    """Rename logs that were left where only the database was removed: SQLite would apply them to a new one."""
    for suffix in ("-wal", "-shm"):
        left = path.with_name(path.name + suffix)
        if left.exists():
            left.rename(_kept_as(left, "left"))


def _kept_as(path: Path, why: str) -> Path:
    """The name under which a file is kept instead of deleted: `20261120.db.damaged-20261120T013012Z`."""
    return path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def set_aside(path: Path) -> Path:
    """Rename a damaged database with its `-wal` and `-shm`. Returns its new path."""
    kept = _kept_as(path, "damaged")
    with day_open_lock(path.parent):
        for suffix in ("-wal", "-shm", ""):  # the database last: if interrupted, it is found and set aside again
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept


def settle_day(path: Path, pragmas: Pragmas) -> bool:
    """Make a day's database one plain file of the current schema, unless it is sealed.

    Returns:
        Whether it is one plain file now; False: another process uses it.

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
    """Whether a day is sealed or being sealed: then it is opened only for new content."""
    return is_sealed(path) or requested_day(path.parent) == path.stem

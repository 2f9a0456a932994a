"""Opens a database for reading: while it is being written, or without leaving anything on the disk.

A plain `mode=ro` reader of a WAL database creates its `-wal` and `-shm` again and leaves them there. `read_untouched`
is for readers that must change nothing, not even the files beside the database.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.older import is_older, refuse_older
from hk_tick_collector.store.other_disks import require_answer
from hk_tick_collector.store.portable import sqlite_uri
from hk_tick_collector.store.schema import CATALOG_ID, check_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


def open_readonly(path: Path, busy_timeout_ms: int = 5000, *, may_be_older: bool = False) -> apsw.Connection:
    """Open a day database with `mode=ro`, never immutable: it may be written meanwhile.

    Args:
        path: the database.
        busy_timeout_ms: how long to wait for a lock.
        may_be_older: also open one of the older recorder.

    Raises:
        DatabaseError: it can't be opened.
        DatabaseNewerError: a newer version of this program made it.
        OlderRecorderError: the older recorder made it.
    """
    require_answer(path)
    try:
        con = apsw.Connection(readonly_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        con.set_busy_timeout(busy_timeout_ms)
        if is_older(con):
            if not may_be_older:
                refuse_older(con, path)
        elif con.pragma("application_id") != CATALOG_ID:
            check_version(con.pragma("user_version"), path)
    except apsw.Error as exc:
        cure = "if it is none of ours, move it away"
        if isinstance(exc, apsw.CantOpenError) and not os.access(path, os.R_OK):
            cure = "this user may not read it"
        raise DatabaseError(f"{path} can't be read: {exc}; {cure}") from exc
    return con


def readonly_uri(path: Path) -> str:
    """The URI `file:…?mode=ro` for SQLite, with special characters of the path quoted."""
    return f"{sqlite_uri(path.absolute())}?mode=ro"


def read_untouched(path: Path, use: Callable[[apsw.Connection], T]) -> T:
    """Read a database with `use`, and leave its files exactly as they are. Returns what `use` returns.

    A file that no process has open is read as immutable. If a process begins to write meanwhile, the result is
    discarded, and the file is read again with `open_readonly`.

    Raises:
        DatabaseError: it can't be opened.
        apsw.Error: it can't be read.
        OSError: it does not exist, or can't be looked up.
    """
    require_answer(path)
    before = unopened_state(path)
    if before is not None:
        try:
            con = _open_immutable(path)
            try:
                found = use(con)
            finally:
                con.close()
        except apsw.Error:  # raised only if an ordinary reader fails, too
            pass
        else:
            if unopened_state(path) == before:
                return found
    con = open_readonly(path, may_be_older=True)
    try:
        return use(con)
    finally:
        con.close()


def unopened_state(path: Path) -> tuple[int, ...] | None:
    """What identifies a file's content; None: a process has it open, or it was left with a log.

    Raises:
        OSError: it does not exist, or can't be looked up.
    """
    for suffix in ("-wal", "-journal", "-shm"):
        if path.with_name(path.name + suffix).exists():
            return None
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def is_empty(path: Path) -> bool:
    """Whether a database has no table yet: its first transaction was never committed."""
    return read_untouched(path, lambda con: not con.execute("SELECT count(*) FROM sqlite_schema").get)


def immutable_uri(path: Path) -> str:
    """The URI for a file that no process writes: SQLite then creates nothing beside it."""
    return f"{readonly_uri(path)}&immutable=1"


def _open_immutable(path: Path) -> apsw.Connection:
    return apsw.Connection(immutable_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)

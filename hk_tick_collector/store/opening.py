"""How a database is opened for reading: while it is being written, and without leaving a byte behind.

A plain `mode=ro` reader of a WAL database makes its `-wal` and `-shm` again and leaves them there. `look` is for
readers that must change nothing, not even what lies beside the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.other_disks import require_answer
from hk_tick_collector.store.schema import check_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


def open_readonly(path: Path, busy_timeout_ms: int = 5000) -> apsw.Connection:
    """Open a day database as every reader does: `mode=ro`, never immutable, while it is being written.

    Raises:
        DatabaseError: it can't be opened.
        DatabaseNewerError: a newer program made it.
    """
    require_answer(path)
    try:
        con = apsw.Connection(readonly_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        con.set_busy_timeout(busy_timeout_ms)
        check_version(con.pragma("user_version"), path)
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}; if it is none of ours, move it away") from exc
    return con


def readonly_uri(path: Path) -> str:
    """`file:…?mode=ro`: what SQLite is told to open, whatever characters the path has."""
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}?mode=ro"


def read_untouched(path: Path, use: Callable[[apsw.Connection], T]) -> T:
    """What `use` finds in a database, which is left exactly as it is.

    A file that nobody has open is read as immutable; if it turns out that somebody has begun to write meanwhile, that
    counts for nothing, and it is read again as any reader does.

    Raises:
        DatabaseError: it can't be opened.
        apsw.Error: it can't be read.
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
        except apsw.Error:  # not before it has failed for an ordinary reader, too
            pass
        else:
            if unopened_state(path) == before:
                return found
    con = open_readonly(path)
    try:
        return use(con)
    finally:
        con.close()


def unopened_state(path: Path) -> tuple[int, ...] | None:
    """What identifies a file's content, or None: it is open somewhere, or was left with a log.

    Raises:
        OSError: it is not there, or not to be seen.
    """
    for suffix in ("-wal", "-journal", "-shm"):
        if path.with_name(path.name + suffix).exists():
            return None
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def is_empty(path: Path) -> bool:
    """Whether a database has nothing in it, not even a table: its first transaction never came."""
    return read_untouched(path, lambda con: not con.execute("SELECT count(*) FROM sqlite_schema").get)


def immutable_uri(path: Path) -> str:
    """What SQLite is told to open where nobody writes, and nothing is to be left beside the file."""
    return f"{readonly_uri(path)}&immutable=1"


def _open_immutable(path: Path) -> apsw.Connection:
    return apsw.Connection(immutable_uri(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)

"""Makes a checked copy beside a database before anything in it is changed.

Owns the names of copies. Never overwrites one, never deletes a complete one. Invariant: a file `….bak-<UTC time>` is
complete and on the disk; an unfinished copy has another name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.data_root import copy_ownership, sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGES_A_STEP = 4096


def backup_path(path: Path, now_sec: float | None = None) -> Path:
    """`20261120.db.bak-20261122T135012Z`; with `-2` and so on appended if that exists already."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_sec))
    made = path.with_name(f"{path.name}.bak-{when}")
    number = 1
    while made.exists():
        number += 1
        made = path.with_name(f"{path.name}.bak-{when}-{number}")
    return made


def back_up(con: apsw.Connection, path: Path, progress: Callable[[int, int], None]) -> Path:
    """Copy an open database, including its log, to one plain file beside it. Returns the copy's path.

    Args:
        con: a connection to `path`, on which no transaction is open.
        path: the database.
        progress: called with the number of pages copied, and their total.

    Raises:
        DatabaseError: the copy is damaged or incomplete; it is deleted again.
        apsw.Error, OSError: the copy can't be made, for example on a full disk; it is deleted again.
    """
    made = backup_path(path)
    partial = made.with_name(made.name + ".partial")
    try:
        copy = apsw.Connection(str(partial))
        try:
            with copy.backup("main", con, "main") as backup:
                while not backup.done:
                    backup.step(PAGES_A_STEP)
                    progress(backup.page_count - backup.remaining, backup.page_count)
            copy.pragma("journal_mode", "delete")  # one file, which can be opened in a read-only place
            _check(con, copy, made)
        finally:
            copy.close()
        copy_ownership(partial, path)
        sync(partial)
        partial.rename(made)
        sync(made.parent)
    except BaseException:
        for suffix in ("", "-journal", "-wal", "-shm"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        raise
    return made


def _check(con: apsw.Connection, copy: apsw.Connection, path: Path) -> None:
    """Check a copy, and compare its number of ticks with the original."""
    found = copy.execute("PRAGMA quick_check").get
    if found != "ok":
        raise DatabaseError(f"{path.name}, a copy just made, is damaged: {found}")
    count = "SELECT count(*) FROM ticks"
    seen, expected = copy.execute(count).get, con.execute(count).get
    if seen != expected:
        raise DatabaseError(f"{path.name}, a copy just made, has {seen} ticks, expected {expected}")

"""Which processes hold a lock on a database, as Linux tells it.

SQLite locks ranges of the database's file and, with a write-ahead log, of its `-shm` file: both are looked up in
/proc/locks. A process of another user is named by its pid alone. Never opens the database: closing a second descriptor
would drop the locks that this process holds on it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hk_tick_collector.store.users import named

if TYPE_CHECKING:
    from collections.abc import Collection

HOLDERS_MAX: Final = 3
_PROC: Final = Path("/proc")
# SQLite's lock bytes, as `man 5 proc_locks` shows ranges. In the database: PENDING and RESERVED, and a writer's range
# over the shared ones. In the -shm: WRITE (120), CHECKPOINT (121) and RECOVER (122). Readers have the bytes after it.
_WRITERS_END: Final = 122


def locked_by(database: Path, ours: Collection[int | None] = (), proc: Path = _PROC) -> tuple[str, ...]:
    """The processes that keep others from writing to a database, as `pid 4711 (python3)`; (): none is known.

    Args:
        database: its path.
        ours: pids that are left out.
        proc: where procfs is mounted.
    """
    inodes = {}
    for suffix in ("", "-shm"):
        try:
            told = os.stat(f"{database}{suffix}")  # noqa: PTH116 - one more object a file otherwise
        except OSError:
            continue
        inodes[f"{os.major(told.st_dev):02x}:{os.minor(told.st_dev):02x}:{told.st_ino}"] = bool(suffix)
    try:
        lines = (proc / "locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    pids = {pid for line in lines if (pid := _holder(line.split(), inodes)) is not None}
    return tuple(named(pid, proc) for pid in sorted(pids - {pid for pid in ours if pid is not None})[:HOLDERS_MAX])


def _holder(fields: list[str], inodes: dict[str, bool]) -> int | None:
    """The process that holds an exclusive lock on one of these files; None: the line is of another lock.

    `1: POSIX  ADVISORY  WRITE 4711 fd:01:1234 120 120`; a `->` after the number marks a process that waits.
    """
    if len(fields) != 8 or fields[3] != "WRITE" or fields[5] not in inodes or not fields[4].isdigit():  # noqa: PLR2004
        return None
    if inodes[fields[5]] and fields[6].isdigit() and int(fields[6]) > _WRITERS_END:
        return None  # a reader's mark
    return int(fields[4]) or None

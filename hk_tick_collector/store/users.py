"""Which processes use a database: its locks, and who has it open, as Linux tells it.

A process that has a database open must keep its files where they are: at its end SQLite deletes the `-wal` by name, and
with another database under that name it would be the wrong one. Never opens the database through SQLite, and changes
nothing. Not for a database that this process has open: closing a second descriptor would drop SQLite's locks.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_FLOCK: Final = "hhqqi4x"  # struct flock: type, whence, start, length, pid


def users_of(database: Path, proc: Path = _PROC) -> tuple[str, ...]:
    """The other processes that use a database, as `pid 4711 (python3)`; (): none is known.

    A lock shows a process of any user, and in another container (then it is called "another process", since its pid
    means nothing here). A process without a lock is found if this user may look at its open files.

    Args:
        database: its path.
        proc: where procfs is mounted.

    Raises:
        OSError: the database exists, and can't be read.
    """
    files = [path for suffix in ("", "-wal", "-shm") if (path := Path(f"{database}{suffix}")).exists()]
    pids = {pid for path in files if (pid := _lock_holder(path)) is not None} | _openers(files, proc)
    return tuple(named(pid, proc) if pid > 0 else "another process" for pid in sorted(pids))


def named(pid: int, proc: Path = _PROC) -> str:
    """A process as `pid 4711 (python3)`, or by its pid alone if its name is not known."""
    try:
        name = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({name})"


def _lock_holder(path: Path) -> int | None:
    """A process that holds any lock on a file; 0: it is in another container; None: there is none."""
    import fcntl  # noqa: PLC0415 - Windows has none, and only a recorder asks

    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # of the whole file, however long it gets
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    finally:
        os.close(file)
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def _openers(files: list[Path], proc: Path) -> set[int]:
    """The other processes that have one of these files open, as far as this user may know."""
    wanted = {(told.st_dev, told.st_ino) for told in map(os.stat, files)}
    found = set()
    for process in proc.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if any(_id_of(file) in wanted for file in (process / "fd").iterdir()):
                found.add(int(process.name))
        except OSError:  # another user's, or it has ended
            continue
    return found


def _id_of(file: Path) -> tuple[int, int] | None:
    try:
        told = file.stat()
    except OSError:  # closed meanwhile
        return None
    return told.st_dev, told.st_ino

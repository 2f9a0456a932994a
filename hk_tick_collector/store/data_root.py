"""The files of a DATA_ROOT beside the day databases, and who may write there.

Owns the names of those files, their ownership, and the locks: one recorder and one writer per DATA_ROOT. Whether
a recorder is running is known by its lock, never by what it last wrote.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import TYPE_CHECKING, Any

from hk_tick_collector.errors import AlreadyRunningError, ConfigError, JournalError
from hk_tick_collector.store import portable
from hk_tick_collector.store.file_system import file_system_of, is_shared

if TYPE_CHECKING:
    from pathlib import Path

RECORDER_LOCK = ".recorder.lock"
WRITER_LOCK = ".writer.lock"
SEAL_LOCK = ".seal.lock"
STATE_NAME = "recorder.json"

# Errors of a full or faulty disk. They pass, so they don't mean that a setting is wrong.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def prepare(root: Path, where: str, *, allows_shared: bool = False) -> Path:
    """Create DATA_ROOT (mode 755) and check with a probe file that it can be written. Returns it.

    Args:
        root: its absolute path.
        where: where the operator set it, for the message.
        allows_shared: it may lie on a network or host-shared file system.

    Raises:
        ConfigError: it is not a directory, or this user can't make it or write in it; or it is shared and must not be.
        JournalError: its disk is full or faulty; the supervisor may start the recorder again.
    """
    probe = root / f".write-test-{os.getpid()}"
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        seen = f"DATA_ROOT={str(root)!r}{where}: expected a directory that this user can write"
        if error.errno in _PASSING:
            raise JournalError(f"{seen}, {error.strerror}; free some space, or mend the disk") from None
        raise ConfigError(f"{seen}, {_refusal(root, error)}") from None
    kind = file_system_of(root)
    if is_shared(kind) and not allows_shared:
        raise ConfigError(
            f"DATA_ROOT={str(root)!r}{where}: expected a local disk, found {kind}, on which databases can be damaged; "
            "choose another, or set DATA_ROOT_ALLOW_SHARED=true"
        )
    return root


def _refusal(root: Path, error: OSError) -> str:
    """Why DATA_ROOT can't be made or written to, and what to do about it."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is in the way; choose another"
    if error.errno == errno.EROFS:
        return (
            f"{error.strerror}; choose another, or, for a service, create it and name it in ReadWritePaths= of its "
            "unit (`systemctl edit hk-tick-collector`)"
        )
    user = portable.user_name()
    closed = next((above for above in reversed(root.parents) if not os.access(above, os.X_OK)), None)
    if closed is not None and os.path.lexists(closed):
        return f"{error.strerror} for {user}, who may not enter {closed}; choose another"
    make = f"chown -R {user}" if os.access(root, os.F_OK) else f"install -d -o {user}"
    return f"{error.strerror} for {user}; as root: `{make} {root}`, or choose another"


def hold_lock(data_root: Path, name: str, timeout_sec: float) -> int:
    """Take an exclusive lock on DATA_ROOT, which is held until its descriptor is closed. Returns the descriptor.

    Raises:
        AlreadyRunningError: another process still holds it after `timeout_sec`.
    """
    file = os.open(data_root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if not wait_for_lock(file, timeout_sec, 0.05):
        holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(file)
        raise AlreadyRunningError(
            f"DATA_ROOT {data_root} is in use by process {holder}: stop that one, or use another DATA_ROOT"
        )
    with contextlib.suppress(OSError):  # a full disk: the lock is held anyway, only without its holder's pid
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file


def identity(path: Path) -> tuple[int, int] | None:
    """The device and inode of a file or directory; None: it does not exist.

    Raises:
        OSError: it can't be looked up.
    """
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_dev, told.st_ino


def wait_for_lock(file: int, timeout_sec: float, look_every_sec: float) -> bool:
    """Take an exclusive lock on an open file, waiting up to `timeout_sec`. False: another process still holds it."""
    deadline = time.monotonic() + timeout_sec
    while True:
        if portable.try_lock(file):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(look_every_sec)


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock; False where there are no locks.

    Takes the lock itself for a moment, so others may have to wait.
    """
    if not portable.HAS_LOCKS:
        return False
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not portable.try_lock(file, is_shared=True)
    finally:
        os.close(file)


def read_state(root: Path) -> dict[str, Any]:
    """The state that the current or last recorder wrote (recorder.json); {}: none that can be read."""
    try:
        said = json.loads((root / STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def disown_report(root: Path) -> None:
    """Take this process's pid out of the report of a recorder before it: in a container each one is pid 1.

    Otherwise readers would take the old report for this recorder's until it writes its own, or for half a minute if it
    can't. Call it while holding the recorder's lock.
    """
    state = read_state(root)
    if state.get("pid") != os.getpid():
        return
    temporary = (root / STATE_NAME).with_suffix(".tmp")
    with contextlib.suppress(OSError):  # a full disk: readers find out by the report's age
        temporary.write_text(json.dumps({**state, "pid": None}), encoding="utf-8")
        temporary.replace(root / STATE_NAME)


def read_recorder(root: Path) -> tuple[int | None, dict[str, Any]]:
    """The pid that holds the recorder's lock (None: no process; 0: unknown), and the state as in `read_state`.

    If the state says `running` but the lock is free, it becomes not `running` and `died`: the recorder had no time to
    write that it ended. Unless it lives, and says that this is another directory than at its start: its lock is in that
    one. Where a lock shows nothing, what the state says is returned: its age shows whether it is true.
    """
    state = read_state(root)
    pid = None
    if not portable.HAS_LOCKS:
        told = state.get("pid")
        pid = (told if isinstance(told, int) else 0) if state.get("running") else None
    elif is_locked(root / RECORDER_LOCK):
        try:
            pid = int((root / RECORDER_LOCK).read_text(encoding="utf-8").strip() or 0)
        except (OSError, ValueError):
            pid = 0
    elif state.get("running"):
        pid = _outside(state)
        if pid is None:
            state.update(running=False, died=True)
    return pid, state


def _outside(state: dict[str, Any]) -> int | None:
    """The pid of a recorder that lives and reports here, but that began in another directory; None: there is none."""
    pid, disk = state.get("pid"), state.get("disk")
    has_fault = isinstance(disk, dict) and bool(disk.get("fault"))
    return pid if has_fault and isinstance(pid, int) and portable.is_alive(pid) else None


def data_root_in(file: Path) -> str:
    """DATA_ROOT in an env file; empty: it is not there.

    Raises:
        OSError, ValueError: it can't be read.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 - only on a machine with the service

    with file.open(encoding="utf-8-sig") as stream:
        return dotenv_values(stream=stream, interpolate=False).get("DATA_ROOT") or ""


def copy_ownership(path: Path, like: Path) -> None:
    """Give a new file the owner and group of another file or directory, and the mode if that is a file.

    Only as root: an operator's `sudo` must not leave files that the recorder's user can't write to.
    """
    if portable.is_root():
        stat = like.stat()
        os.chown(path, stat.st_uid, stat.st_gid)
        if like.is_file():
            path.chmod(stat.st_mode & 0o777)


def sync(path: Path) -> None:
    """Flush a file, or the names in a directory, to the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)

"""What Linux, macOS and Windows do differently, for the commands that only read.

Owns every question to the operating system whose answer is not the same on all three. Recording needs Linux; what was
recorded can be read on all of them. Modules that only the recorder uses may ask Linux directly.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if sys.platform != "win32":
    import fcntl
    import pwd

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import PurePath

IS_WINDOWS: Final = sys.platform == "win32"
HAS_LOCKS: Final = not IS_WINDOWS
"""Whether a lock on a file shows whether a recorder is running."""

_NAMES: Final = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}


def system_name() -> str:
    """The operating system, as people call it."""
    return _NAMES.get(sys.platform, sys.platform)


def is_linux() -> bool:
    """Whether a recorder can run here. WSL2 and Docker are Linux."""
    return sys.platform == "linux"


def is_root() -> bool:
    """Whether this user may give files to others; nobody on Windows."""
    return sys.platform != "win32" and os.geteuid() == 0


def user_name() -> str:
    """Who this process runs as: a name, or a number that has none."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "this user")
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def is_alive(pid: int) -> bool:
    """Whether there is a process with that pid, of whatever user; False on Windows, where asking would end it."""
    if sys.platform == "win32" or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the second: it is no pid at all
        return False
    except PermissionError:
        return True
    return True


def try_lock(file: int, *, is_shared: bool = False) -> bool:
    """Take a lock on an open file without waiting; False: another process holds it, or there are no locks here."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop for `asyncio.Runner`: uvloop's; None: asyncio's own, where uvloop is not installed."""
    if not is_linux():
        return None
    import uvloop  # noqa: PLC0415 - it is installed on Linux only

    return uvloop.new_event_loop


def sqlite_uri(path: PurePath) -> str:
    """An absolute path as SQLite's URI, with special characters quoted: `file:///C:/ticks/20261120.db`."""
    quoted = path.as_posix().replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{quoted}" if quoted.startswith("/") else f"file:///{quoted}"

"""Days whose files are links to another disk, which may hang: opening a file on such a disk may never return.

Owns the check before such a file is opened: a child process tries it, and is left alone if it does not return.
"""

from __future__ import annotations

import atexit
import subprocess
import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.portable import IS_WINDOWS

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SEC: Final = 1.0
ANSWER_AGAIN_SEC: Final = 0.1  # for a disk that has not answered before
BELIEVED_SEC: Final = 10.0  # how long an answer stays valid

_asked: dict[Path, subprocess.Popen[bytes]] = {}  # by link, processes that have not returned
_answered: dict[Path, float] = {}


def require_answer(path: Path) -> None:
    """Return if opening a file does not hang. Whether it exists or is valid is not checked.

    Raises:
        DatabaseError: its disk does not answer.
    """
    now = time.monotonic()
    if IS_WINDOWS:  # there is no `head`
        return
    if not path.is_symlink() or now - _answered.get(path, float("-inf")) < BELIEVED_SEC:
        return
    before = _asked.pop(path, None)
    disk = path.readlink().parent
    is_known_to_hang = before is not None or any(other.readlink().parent == disk for other in _hanging())
    asked = before or subprocess.Popen(  # noqa: S603 - no shell, and the path is one argument
        ["head", "-c", "1", "--", str(path)],  # noqa: S607 - found by PATH; macOS knows no --bytes
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        asked.wait(ANSWER_AGAIN_SEC if is_known_to_hang else ANSWER_SEC)
    except subprocess.TimeoutExpired:
        _asked[path] = asked
        raise DatabaseError(
            f"{path} is a link to {path.readlink()}, which does not answer: does that disk hang?"
        ) from None
    _answered[path] = now


def is_there(path: Path) -> bool:
    """Whether a path exists, as a file or anything else.

    Raises:
        DatabaseError: its disk does not answer.
    """
    require_answer(path)
    return path.exists()


def _hanging() -> list[Path]:
    """The links that are known to hang, and are still links."""
    return [path for path, asked in list(_asked.items()) if asked.poll() is None and path.is_symlink()]


@atexit.register
def _end() -> None:
    """Leave no child process; one that is stuck in a read ends when the disk answers."""
    for asked in _asked.values():
        asked.kill()

"""A directory in which something is made that takes the place it is meant for only when it is whole.

Owns its lock, and its clearing. Invariant: what a process that was killed has left is gone before the next one begins.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.store.data_root import RECORDER_LOCK, hold_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def scratch_place(scratch: Path, busy: str) -> Iterator[Path]:
    """An empty directory to work in; it is gone at the end.

    Args:
        scratch: where; its parent must be there.
        busy: what another process does there, for the message.

    Raises:
        AlreadyRunningError: another process is at work there.
        OSError: it can't be made.
    """
    scratch.mkdir(exist_ok=True)
    with ExitStack() as held:
        try:
            held.callback(os.close, hold_lock(scratch, RECORDER_LOCK, 0))
        except AlreadyRunningError as exc:
            raise AlreadyRunningError(f"{busy} by another process: wait for it ({exc})") from exc
        for entry in scratch.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != RECORDER_LOCK:
                entry.unlink()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch)

"""A directory in which a result is made, to be moved into its place only once it is complete.

Owns its lock and its clearing. Invariant: what a killed process left is removed before the next one begins.
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
    """An empty directory to work in; it is removed at the end.

    Args:
        scratch: its path; the parent must exist.
        busy: what another process would be doing there, for the message.

    Raises:
        AlreadyRunningError: another process uses it.
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

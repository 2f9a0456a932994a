"""The writer's ends of the two pipes to the recorder.

Owns how the writer tells what it has done, and how it hears that it should end. Never waits for the recorder: one that
hangs, or is gone, must not keep the writer from storing.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hk_tick_collector.writer.progress import Message


def send(message: Message) -> None:
    """A line to the recorder. If it does not read (or is gone) the line is dropped: storing goes on."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(sys.stdout.fileno(), message.to_line())


class RecorderPipe:
    """The recorder, as seen from here: standard input, on which it says `stop`, and which ends when it does."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.stopped_at: float | None = None

    def wait(self, timeout_sec: float) -> None:
        """Sleep, but hear the recorder at once."""
        if self.stopped_at is not None:
            time.sleep(timeout_sec)
            return
        readable, _, _ = select.select([self._fd], [], [], timeout_sec)
        if readable:
            os.read(self._fd, 4096)  # `stop` or the end: both mean that nothing more will come
            self.stopped_at = time.monotonic()

"""The writer's ends of the two pipes to the recorder.

Owns how the writer reports its progress, and how it receives the request to end. Never waits for the recorder: if the
recorder hangs or is gone, the writer must go on storing.
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
    """Send a line to the recorder. If the recorder does not read (or is gone), the line is dropped: storing goes on."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(sys.stdout.fileno(), message.to_line())


class RecorderPipe:
    """The recorder as the writer sees it: standard input, which carries `stop` and ends with the recorder."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.stopped_at: float | None = None

    def wait(self, timeout_sec: float) -> None:
        """Sleep, but wake up as soon as the recorder asks to stop."""
        if self.stopped_at is not None:
            time.sleep(timeout_sec)
            return
        readable, _, _ = select.select([self._fd], [], [], timeout_sec)
        if readable:
            os.read(self._fd, 4096)  # `stop` or the end of the input: either way nothing more will come
            self.stopped_at = time.monotonic()

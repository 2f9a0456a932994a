"""Found by every Python that has this directory in its PYTHONPATH: a wall clock that a test sets.

So a test is in Hong Kong's trading time at whatever hour it is run. CLOCK_SHIFT_SEC is how far the clock is ahead, for
good; CLOCK_FILE names a file in place of that, which holds the seconds and is looked at again and again, so that all
processes of a test can jump to another hour together. The monotonic clock, that of the machine's start
(`time.clock_gettime_ns`), the times of files and the network are not touched.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

LOOK_EVERY_NS = 2_000_000

_time_ns = time.time_ns
_monotonic_ns = time.monotonic_ns


class Shift:
    """How far the clock is ahead."""

    def __init__(self) -> None:
        path = os.environ.get("CLOCK_FILE")
        self._path = None if path is None else Path(path)
        self._ns = int(os.environ.get("CLOCK_SHIFT_SEC", "0")) * 1_000_000_000
        self._looked_ns = 0
        self._seen: tuple[int, int] | None = None

    def ns(self) -> int:
        """Now."""
        if self._path is not None:
            now = _monotonic_ns()
            if now - self._looked_ns >= LOOK_EVERY_NS:
                self._looked_ns = now
                self._look()
        return self._ns

    def _look(self) -> None:
        assert self._path is not None
        try:
            stat = self._path.stat()
        except FileNotFoundError:  # the test is over
            return
        seen = (stat.st_ino, stat.st_mtime_ns)
        if seen != self._seen:
            self._seen = seen
            self._ns = int(self._path.read_text()) * 1_000_000_000


_shift = Shift()


def _shifted_ns() -> int:
    return _time_ns() + _shift.ns()


time.time_ns = _shifted_ns
time.time = lambda: _shifted_ns() / 1e9

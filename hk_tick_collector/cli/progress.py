"""Progress lines on standard error for long operations.

Owns how often a line is written.
"""

from __future__ import annotations

import sys
import time

TELL_EVERY_SEC = 2.0


class Progress:
    """Writes a progress line to standard error now and then."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Write a line, unless the last one is less than TELL_EVERY_SEC old."""
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_SEC:
            self._told_at = now
            sys.stderr.write(f"{what}: {done:,} of {total:,}\n")

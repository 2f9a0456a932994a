"""Lines on standard error for who waits for something long.

Owns how often one comes.
"""

from __future__ import annotations

import sys
import time

TELL_EVERY_SEC = 2.0


class Progress:
    """A line on standard error now and then, for who waits for a large file."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Say how far it is."""
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_SEC:
            self._told_at = now
            sys.stderr.write(f"{what}: {done:,} of {total:,}\n")

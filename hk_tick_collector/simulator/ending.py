"""When a simulated day is over: its last print is out, and those who record it have what proves it.

Owns the times of a day's end. A recorder proves a day by two snapshots from after the close, so the simulator waits for
these, but not forever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MINUTE_MS: Final = 60_000
# From then on, a snapshot is certainly one of after the close (16:12), also by a clock that is two minutes slow.
AFTER_CLOSE_MS: Final = 15 * MINUTE_MS
LATEST_MS: Final = 43 * MINUTE_MS  # a recorder asks once more at 16:42; like the others, after the close at 16:00
PATIENCE_SEC: Final = 60.0  # beyond that, for a recorder that has not asked
SLOW_FROM_MS: Final = 7 * MINUTE_MS + MINUTE_MS // 2
# The end of a day is played no faster than this: a tick's delay is multiplied by the speed, and a recorder believes no
# clocks that are two minutes apart.
SPEED_MAX: Final = 150.0
TOLD_MIN: Final = 2


class Ending:
    """Knows when one simulated day is over."""

    def __init__(self, close_ms: int, watched: Callable[[], Iterable[str]]) -> None:
        """`close_ms`: the end of continuous trading, UTC epoch ms. `watched`: the symbols that are being recorded."""
        self._close_ms = close_ms
        self._watched = watched
        self._told: dict[str, int] = {}
        self._waits_since: float | None = None

    def told(self, symbols: Iterable[str], now_ms: int) -> None:
        """A snapshot of these symbols was asked for."""
        if now_ms >= self._close_ms + AFTER_CLOSE_MS:
            for symbol in symbols:
                self._told[symbol] = self._told.get(symbol, 0) + 1

    @property
    def is_proven(self) -> bool:
        """Whether every recorded symbol, of at least one, was asked for twice after the close."""
        watched = list(self._watched())
        return bool(watched) and all(self._told.get(symbol, 0) >= TOLD_MIN for symbol in watched)

    def is_over(self, now_ms: int, monotonic_sec: float) -> bool:
        """Whether nothing more is to come."""
        if self.is_proven:
            return True
        if now_ms < self._close_ms + LATEST_MS:
            return False
        self._waits_since = self._waits_since or monotonic_sec
        return monotonic_sec - self._waits_since >= PATIENCE_SEC

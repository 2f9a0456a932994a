"""The simulator's time: a simulated day that runs at a given speed, or the wall clock.

Owns what "now" means for everything that a client sees: tick times, receive times, GetGlobalState. Timeouts use the
event loop's monotonic time instead.
"""

from __future__ import annotations

import time

# After a late step (a long burst, a busy machine), simulated time slows down instead of making one big jump.
_STEP_MAX_SEC = 0.25


class MarketClock:
    """Simulated time, which advances only in steps and not while paused; or the wall clock."""

    def __init__(self, *, start_ts_ms: int | None, speed: float) -> None:
        """`start_ts_ms`: day start, UTC epoch ms; None: the wall clock. `speed`: simulated seconds per second."""
        self._simulated_ms = float(start_ts_ms) if start_ts_ms is not None else None
        self._speed = speed
        self._stepped_at: float | None = None
        self.paused = False

    @property
    def is_wall(self) -> bool:
        """Whether this is the wall clock, which a pause can't stop."""
        return self._simulated_ms is None

    @property
    def now_ms(self) -> int:
        """UTC epoch ms."""
        return time.time_ns() // 1_000_000 if self._simulated_ms is None else int(self._simulated_ms)

    def step(self, monotonic_sec: float) -> int:
        """Advance by the time since the last step, and return `now_ms`."""
        before, self._stepped_at = self._stepped_at, monotonic_sec
        if self._simulated_ms is not None and before is not None and not self.paused:
            self._simulated_ms += min(monotonic_sec - before, _STEP_MAX_SEC) * self._speed * 1000
        return self.now_ms

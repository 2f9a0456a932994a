"""The simulator's time: either a simulated day that runs at a speed, or the wall clock.

Owns what "now" means for everything that a client sees: tick times, receive times, GetGlobalState. Timeouts don't use
it; they use the event loop's monotonic time.
"""

from __future__ import annotations

import time

# A step that comes late (a long burst, a busy machine) makes simulated time slower rather than the next step bigger.
_STEP_MAX_SEC = 0.25


class MarketClock:
    """Time that goes only when it is stepped and not paused."""

    def __init__(self, *, start_ts_ms: int | None, speed: float) -> None:
        """Take where the day begins (UTC epoch ms) and how many simulated seconds go in one; None: the wall clock."""
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
        """Let the time since the last step go by, and give `now_ms`."""
        before, self._stepped_at = self._stepped_at, monotonic_sec
        if self._simulated_ms is not None and before is not None and not self.paused:
            self._simulated_ms += min(monotonic_sec - before, _STEP_MAX_SEC) * self._speed * 1000
        return self.now_ms

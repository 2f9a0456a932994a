"""The simulator's time: a simulated day that runs at a given speed, or the wall clock.

Owns what "now" means for everything that a client sees: tick times, receive times, GetGlobalState. Timeouts use the
event loop's monotonic time instead.

A day's clock may be shared with a recorder that rehearses: both then work out the time from the same anchors, so it
never slows down, and a change of speed is published before it takes effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.clock import boot_ms, host_ms
from hk_tick_collector.store.rehearsal import LOOK_EVERY_MS, Anchor, at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# After a late step (a long burst, a busy machine), simulated time slows down instead of making one big jump.
_STEP_MAX_SEC = 0.25
# How long before it takes effect a change is published.
LEAD_MS: Final = 3 * LOOK_EVERY_MS
_KEPT: Final = 4  # anchors of before a change: several changes may follow each other within that time


class MarketClock:
    """Simulated time, which advances only in steps and not while paused; or the wall clock."""

    def __init__(self, *, start_ts_ms: int | None, speed: float) -> None:
        """`start_ts_ms`: day start, UTC epoch ms; None: the wall clock. `speed`: simulated seconds per second."""
        self._simulated_ms = float(start_ts_ms) if start_ts_ms is not None else None
        self._speed = speed
        self._stepped_at: float | None = None
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether no ticks are made."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        """Make no ticks, or make them again."""
        self._paused = value
        self._pause_changed()

    def _pause_changed(self) -> None:
        """A pause has begun or ended; the steps see it by themselves."""

    @property
    def is_wall(self) -> bool:
        """Whether this is the wall clock, which a pause can't stop."""
        return self._simulated_ms is None

    @property
    def now_ms(self) -> int:
        """UTC epoch ms."""
        return host_ms() if self._simulated_ms is None else int(self._simulated_ms)

    def step(self, monotonic_sec: float) -> int:
        """Advance by the time since the last step, and return `now_ms`."""
        before, self._stepped_at = self._stepped_at, monotonic_sec
        if self._simulated_ms is not None and before is not None and not self._paused:
            self._simulated_ms += min(monotonic_sec - before, _STEP_MAX_SEC) * self._speed * 1000
        return self.now_ms


class Turn(NamedTuple):
    """When the clock comes to `from_ms`, it jumps to `to_ms`, and goes at most `speed_max` times as fast from then."""

    from_ms: int
    to_ms: int
    speed_max: float


class SharedClock(MarketClock):
    """A simulated day's time that others can follow.

    Attributes:
        publish: called with the anchors whenever they change.
    """

    def __init__(self, *, start_ts_ms: int, speed: float, turns: Sequence[Turn] = ()) -> None:
        """It stands still until `run`. `turns`: in order of time."""
        super().__init__(start_ts_ms=start_ts_ms, speed=speed)
        self._turns = turns
        self._anchors = [Anchor(boot_ms(), start_ts_ms, 0.0)]
        self.publish: Callable[[Sequence[Anchor]], None] = lambda _: None

    @property
    def now_ms(self) -> int:
        """UTC epoch ms."""
        return at(self._anchors, boot_ms())

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """By which the time is worked out."""
        return tuple(self._anchors)

    def step(self, monotonic_sec: float) -> int:  # noqa: ARG002 - the machine's clock tells
        """Return `now_ms`."""
        return self.now_ms

    def _pause_changed(self) -> None:
        """Stand still, or go on, shortly after."""
        self.run(0.0 if self._paused else self._speed)

    def run(self, speed: float) -> None:
        """Go at this speed; 0: stand still."""
        begin_ms = boot_ms() + LEAD_MS
        market_ms = at(self._anchors, begin_ms)
        self._anchors = [anchor for anchor in self._anchors if anchor.boot_ms < begin_ms][-_KEPT:]
        most = min((turn.speed_max for turn in self._turns if turn.from_ms <= market_ms), default=speed)
        self._anchors.append(Anchor(begin_ms, market_ms, min(speed, most)))
        if speed:
            self._plan([turn for turn in self._turns if turn.from_ms > market_ms])
        self.publish(self._anchors)

    def _plan(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            last = self._anchors[-1]
            begin_ms = last.boot_ms + round((turn.from_ms - last.market_ms) / last.speed)
            self._anchors.append(Anchor(begin_ms, turn.to_ms, min(last.speed, turn.speed_max)))

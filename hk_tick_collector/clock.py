"""The host's clock: what time it shows, and whether it was set. In a rehearsal, the simulated day's clock in its place.

Owns the reading of wall time. A machine has one clock that can be set and one that can't. A change in their difference
is a step. Both run at the same rate, since the kernel slews both alike, so a slow correction by a time service never
shows. Invariant: `on_step` is called before the first time after a step is returned.
"""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_MS: Final = 1000  # a smaller step changes no conclusion, and the offset to OpenD's clock is measured every minute
# A process may be stopped between its reads of the two clocks. Reads that are this close to each other are reliable.
LOOKS_APART_MS: Final = 100
LOOKS_MAX: Final = 10
OFFSET_MS_MAX: Final = 3_000  # between two hosts' clocks; it is measured to about a second
AGREE_MS: Final = 120_000  # two correct clocks are closer than that


class Rehearsal(Protocol):
    """A simulated day's clock, which is never set."""

    def now_ms(self) -> int:
        """UTC epoch ms on that day."""

    def speed(self) -> float:
        """Simulated seconds a second; at least 1."""


_rehearsal: Rehearsal | None = None


def follow(rehearsal: Rehearsal) -> None:
    """From now on, the clock of this process is a rehearsal's."""
    global _rehearsal  # noqa: PLW0603 - a process has one clock
    _rehearsal = rehearsal


def is_rehearsal() -> bool:
    """Whether this process follows a rehearsal's clock."""
    return _rehearsal is not None


def wall_ms() -> int:
    """The host's clock, UTC epoch ms; in a rehearsal, the rehearsal's."""
    return host_ms() if _rehearsal is None else _rehearsal.now_ms()


def real_ms(wall_ms: int) -> int:
    """How long a time between two readings of `wall_ms` really took, in ms: in a rehearsal, time goes faster."""
    return wall_ms if _rehearsal is None else round(wall_ms / _rehearsal.speed())


def host_ms() -> int:
    """The host's clock, UTC epoch ms, also in a rehearsal."""
    return time.time_ns() // 1_000_000


def _boot_clock() -> Callable[[], int]:
    """A clock that can't be set. It also runs while the machine sleeps, if the system has such a clock."""
    try:
        time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic_ns
    return partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


_boot_ns = _boot_clock()


def boot_ms() -> int:
    """Milliseconds since the machine started, which no step changes; the same in all processes of the machine."""
    return _boot_ns() // 1_000_000


def disagreement(offset_ms: int | None) -> str | None:
    """Why nothing may be concluded from the host's clock, in words; None: OpenD's clock agrees with it.

    Args:
        offset_ms: OpenD's clock minus the host's; None: it was never measured.
    """
    if offset_ms is None:
        return "OpenD has not told its time since the start, and the host's clock alone proves nothing"
    if abs(offset_ms) > AGREE_MS:
        seen = f"{abs(offset_ms) / 1000:,.0f} s {'ahead of' if offset_ms < 0 else 'behind'} OpenD's"
        return f"the host's clock is {seen}, expected at most {AGREE_MS // 1000} s: look at the time service of both"
    return None


@cache
def boot_id() -> str:
    """Which start of the machine this is: what `boot_ms` counts from.

    Raises:
        OSError: the system does not say it.
    """
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


class HostClock:
    """Reads wall time, and notices steps. For one thread.

    Attributes:
        on_step: called with the ms by which the clock was set forward, or back (negative), before the new time is
            returned; it may read the clock itself.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms, boot: Callable[[], int] = boot_ms) -> None:
        self._wall = wall
        self._boot = boot
        self._is_rehearsal = wall is wall_ms and _rehearsal is not None  # then there are no steps
        self.on_step: Callable[[int], None] = lambda _step_ms: None
        self._apart_ms = self._look()[1]

    def now_ms(self) -> int:
        """The host's clock, UTC epoch ms."""
        now_ms = self._wall()
        if self._is_rehearsal:
            return now_ms
        apart_ms = now_ms - self._boot()
        if abs(apart_ms - self._apart_ms) <= STEP_MS:
            self._apart_ms = apart_ms  # so that rounding and slow drift never add up
            return now_ms
        now_ms, apart_ms = self._look()
        step_ms = apart_ms - self._apart_ms
        self._apart_ms = apart_ms
        if abs(step_ms) > STEP_MS:
            self.on_step(step_ms)
        return now_ms

    def _look(self) -> tuple[int, int]:
        """Wall time, and how far it is from the other clock; read again if the reads were too far apart."""
        best: tuple[int, int, int] | None = None
        for _ in range(LOOKS_MAX):
            before_ms = self._boot()
            now_ms = self._wall()
            after_ms = self._boot()
            found = (after_ms - before_ms, now_ms, now_ms - (before_ms + after_ms) // 2)
            best = found if best is None else min(best, found)
            if best[0] <= LOOKS_APART_MS:
                break
        assert best is not None
        return best[1], best[2]

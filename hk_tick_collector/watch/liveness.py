"""Proof of life: which part of the recorder does not live, if any. Only without a fault is the supervisor told so.

Owns what counts as alive. Never acts. A part that fails and says so is alive (a full disk is retried, OpenD is waited
for): ending the process would help none of that, and would lose what is held in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_MARGIN_SEC: Final = 30.0  # for a look itself: it reads the disk, and dumps stacks


class WatchedJournal(Protocol):
    """The journal, as far as its pulse goes."""

    @property
    def is_alive(self) -> bool:
        """Whether its thread is there."""

    @property
    def buffered_bytes(self) -> int:
        """What it has still to write."""

    bytes_written: int
    fault: str | None


class WatchedWatchdog(Protocol):
    """The watchdog, as far as its pulse goes."""

    checked_at: float


class Liveness:
    """Looks at every part's pulse."""

    def __init__(
        self,
        journal: WatchedJournal,
        watchdog: WatchedWatchdog,
        *,
        stall_sec: float,
        look_every_sec: float,
        clock: Callable[[], float],
    ) -> None:
        """Every part counts as alive from now on.

        Args:
            journal: must write within `stall_sec` what it is given.
            watchdog: must look each `look_every_sec`, which includes what it does in between.
            stall_sec: how long a part may stand still.
            look_every_sec: the longest time between two looks.
            clock: monotonic seconds.
        """
        self._journal = journal
        self._watchdog = watchdog
        self._stall_sec = stall_sec
        self._look_sec_max = 2 * look_every_sec + LOOK_MARGIN_SEC
        self._clock = clock
        self._written = journal.bytes_written
        self._moved_at = clock()

    def fault(self) -> str | None:
        """What does not live, in words; None: all does. To be asked often: a pulse is a change between two looks."""
        now = self._clock()
        journal = self._journal
        if not journal.is_alive:
            return "the journal's thread has ended"
        if journal.bytes_written != self._written or not journal.buffered_bytes or journal.fault is not None:
            self._written, self._moved_at = journal.bytes_written, now
        stuck_sec = now - self._moved_at
        if stuck_sec > self._stall_sec:
            return f"the journal hangs in a write: {journal.buffered_bytes} bytes wait since {stuck_sec:.0f} s"
        unseen_sec = now - self._watchdog.checked_at
        if unseen_sec > self._look_sec_max:
            return f"the watchdog has not looked for {unseen_sec:.0f} s"
        return None

"""Proof of life: which part of the recorder is not alive, if any.

Owns what counts as alive. Never acts: only while every part is alive does the supervisor get a sign of life. A part
that fails and reports it is alive (a full disk is retried, OpenD is waited for): ending the process would not help, and
would lose what is held in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_MARGIN_SEC: Final = 30.0  # for the watchdog's check itself: it reads the disk, and dumps stacks


class WatchedJournal(Protocol):
    """What is needed of the journal to see its progress."""

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""

    @property
    def buffered_bytes(self) -> int:
        """The bytes that it has not written yet."""

    bytes_written: int
    fault: str | None


class WatchedWatchdog(Protocol):
    """What is needed of the watchdog to see its progress."""

    checked_at: float


class Liveness:
    """Watches each part for progress."""

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
            journal: must write what it is given within `stall_sec`.
            watchdog: must check about every `look_every_sec`.
            stall_sec: how long the journal may make no progress.
            look_every_sec: the longest time between two checks, including what the watchdog does in between.
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
        """What is not alive, in words; None: everything is. Call it often: progress is a change between two calls."""
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

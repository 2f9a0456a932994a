"""The watchdog: what counts as a stall, and what is done about it: heal first, give up only if that keeps failing.

Owns the three conditions, the count of failed recoveries, and the `WATCHDOG …` lines. Never reads a clock, a disk or a
process itself: it observes and acts through `Supervised`.

A stall is all of these (docs/contract.md):
    1. there is something to do: ticks came lately, or the backlog does not shrink. The second is for the evening: what
       a stuck writer has not stored when the last tick is in must still be stored;
    2. the backlog has been above the threshold for `stall_sec` without a break;
    3. no commit for `stall_sec`, or no writer, and none that comes back by itself.

A quiet market is not a stall: there is no backlog (2). Neither is the first burst after a quiet time, whose last commit
is hours old (2 begins with the burst), nor a large backlog that is being worked off (3: its commits are recent).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hk_tick_collector import logs

if TYPE_CHECKING:
    from collections.abc import Callable

log = logs.get_logger()

# The collector restarts a writer that died after 10 s at most (collector.RESTART_SEC_MAX). One that is missing for
# longer does not come back by itself.
WRITER_DEAD_SEC: Final = 15.0


class WatchdogSettings(NamedTuple):
    """The operator's settings. Their defaults are in `config`; `wiring` passes them on."""

    check_interval_sec: float
    stall_sec: float
    upstream_window_sec: float
    queue_threshold_rows: int
    recovery_max_failures: int


class Observation(NamedTuple):
    """The recorder's state at one moment. Times are from one monotonic clock, in seconds.

    Attributes:
        at: now.
        backlog_rows: ticks that are journaled and not stored.
        upstream_at: when the last tick came, pushed or fetched for the first time; None: never.
        committed_at: when ticks were last stored; None: never.
        dead_since: since when there has been no writer process; None: there is one.
        is_journal_failing: the journal can't be written either, so ticks are only in this process's memory.
        writer_pid: the writer's, or the last writer's.
        writer_state: the kernel's letter for it: S sleeps, D waits for a disk, T is stopped; None: it is gone.
        last_exception: the last error that the writer reported.
    """

    at: float
    backlog_rows: int
    upstream_at: float | None = None
    committed_at: float | None = None
    dead_since: float | None = None
    is_journal_failing: bool = False
    writer_pid: int | None = None
    writer_state: str | None = None
    last_exception: str | None = None


class Supervised(Protocol):
    """What the watchdog needs of the recorder and its writer."""

    async def observe(self) -> Observation:
        """Return their current state."""

    async def dump_stacks(self) -> None:
        """Make both processes write the stacks of all their threads to the log."""

    async def request_writer_recovery(self, reason: str) -> bool:
        """End the writer and start the next one. False: the old one does not end."""


class StallDetector:
    """Decides from one observation to the next whether there is a stall."""

    def __init__(self, settings: WatchdogSettings) -> None:
        self._settings = settings
        self._last: Observation | None = None
        self._above_since: float | None = None
        self._shrunk_at: float | None = None
        self.was_away = False  # there was no check for long: what happened meanwhile is unknown

    def observe(self, seen: Observation) -> str | None:
        """Why there is a stall, in words; None: there is no stall."""
        settings, last = self._settings, self._last
        self._last = seen
        # If this process did not run (a paused machine), neither did the writer: start counting again.
        self.was_away = last is not None and seen.at - last.at > settings.check_interval_sec + settings.stall_sec / 2
        if seen.backlog_rows < settings.queue_threshold_rows:
            self._above_since = self._shrunk_at = None
            return None
        if self._above_since is None or self.was_away:
            self._above_since = seen.at
        if last is not None and seen.backlog_rows < last.backlog_rows:
            self._shrunk_at = seen.at
        above_sec = seen.at - self._above_since
        if above_sec < settings.stall_sec or not self._has_work(seen):
            return None
        waiting = f"{seen.backlog_rows} rows wait since {above_sec:.0f} s"
        if seen.dead_since is not None and seen.at - seen.dead_since >= min(WRITER_DEAD_SEC, settings.stall_sec):
            return f"no writer for {seen.at - seen.dead_since:.0f} s, {waiting}"
        if seen.committed_at is None:
            return f"no commit yet, {waiting}"
        idle_sec = seen.at - seen.committed_at
        return f"no commit for {idle_sec:.0f} s, {waiting}" if idle_sec >= settings.stall_sec else None

    def _has_work(self, seen: Observation) -> bool:
        window_sec = self._settings.upstream_window_sec
        is_active = seen.upstream_at is not None and seen.at - seen.upstream_at <= window_sec
        is_shrinking = self._shrunk_at is not None and seen.at - self._shrunk_at < self._settings.stall_sec
        return is_active or not is_shrinking


class Watchdog:
    """Checks, heals, and gives up when healing has failed for good."""

    def __init__(self, settings: WatchdogSettings, supervised: Supervised, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._supervised = supervised
        self._clock = clock
        self._detector = StallDetector(settings)
        self._attempt_at: float | None = None  # when the recovery was made whose outcome is awaited
        self._is_attempt_failed = False
        self.failures = 0  # failed recoveries in a row
        self.checked_at = clock()
        self.is_stalled = False
        self.stalls = 0
        self.recoveries_failed = 0
        self.last_reason: str | None = None

    async def run(self) -> None:
        """Check again and again; return when healing has failed for good."""
        while True:
            if await self.check():
                break
            await asyncio.sleep(self._settings.check_interval_sec)

    async def check(self) -> bool:
        """Check once, and act if that is needed. True: healing has failed too often, give up."""
        seen = await self._supervised.observe()
        self.checked_at = seen.at
        reason = self._detector.observe(seen)
        self.last_reason = reason or self.last_reason
        if self._attempt_at is None:
            if reason is None:
                return False
            self.stalls += 1
            self.is_stalled = True
            return await self._recover(reason, seen)
        if self._is_healed(seen, self._attempt_at):
            return False
        if self._detector.was_away:
            self._attempt_at = seen.at
        if seen.at - self._attempt_at < self._settings.stall_sec:
            return False
        if not self._is_attempt_failed and self._fail(f"no commit within {seen.at - self._attempt_at:.0f} s", seen):
            return True
        return await self._recover(reason or self.last_reason or "", seen)

    def _is_healed(self, seen: Observation, attempt_at: float) -> bool:
        """Whether there was a commit since the recovery, or the backlog is small; then the failure count restarts."""
        is_stored = seen.committed_at is not None and seen.committed_at > attempt_at
        if not is_stored and seen.backlog_rows >= self._settings.queue_threshold_rows:
            return False
        log.info("writer_recovered", pid=seen.writer_pid, sec=round(seen.at - attempt_at, 1), failures=self.failures)
        self._attempt_at = None
        self.failures = 0
        self.is_stalled = False
        return True

    async def _recover(self, reason: str, seen: Observation) -> bool:
        """Log the evidence, then end the writer. True: that failed, and no attempt is left."""
        self.last_reason = reason
        log.warning(
            "WATCHDOG diagnostic_dump",
            reason=reason,
            writer_pid=seen.writer_pid,
            writer_state=seen.writer_state,
            queue_rows=seen.backlog_rows,
            last_exception=seen.last_exception,
        )
        await self._supervised.dump_stacks()
        log.warning("WATCHDOG recovery_triggered", reason=reason, writer_pid=seen.writer_pid, failures=self.failures)
        has_ended = await self._supervised.request_writer_recovery(reason)
        self._attempt_at = self.checked_at = self._clock()
        self._is_attempt_failed = not has_ended
        return not has_ended and self._fail("the old writer does not end", seen)

    def _fail(self, why: str, seen: Observation) -> bool:
        """Count a failed recovery. True: it was the last that is allowed."""
        self.failures += 1
        self.recoveries_failed += 1
        log.error(
            "WATCHDOG recovery_failed",
            failures=self.failures,
            reason=why,
            queue_rows=seen.backlog_rows,
            last_exception=seen.last_exception,
        )
        if self.failures < self._settings.recovery_max_failures or seen.is_journal_failing:
            # While the disk takes nothing, exiting would lose what is held in memory, and a restart would not help.
            return False
        log.error(
            "WATCHDOG persistent_stall",
            failures=self.failures,
            reason=self.last_reason,
            queue_rows=seen.backlog_rows,
            last_exception=seen.last_exception,
            expected="a commit after a recovery; the journal keeps what is not stored, for the next start",
        )
        return True

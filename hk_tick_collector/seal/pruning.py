"""Deletes segments that the journal no longer needs.

Owns which segments are deleted, and when. Invariants: what is not stored is kept; no clock alone decides that a segment
is old, since the host's may be set to any time; an unsealed day keeps the segments it was made from.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector import logs
from hk_tick_collector.clock import disagreement
from hk_tick_collector.hktime import day_before, hk_day
from hk_tick_collector.journal.cursor import load_cursor, needed_from
from hk_tick_collector.journal.segments import DIRECTORY, list_segments
from hk_tick_collector.store.sealed import is_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.journal.segments import Position, Segment
    from hk_tick_collector.session.state import ClientState

log = logs.get_logger()

PRUNE_EVERY_SEC: Final = 3600.0
TOLD_EVERY_SEC: Final = 86400.0
KEEP_UNSEALED_DAYS: Final = 30  # then deleted anyway: a day that can't be sealed, or waits, must not fill the disk


class Prunable(NamedTuple):
    """Segments that may be deleted, and those kept only because a day of theirs is not sealed, or waits."""

    going: list[Segment]
    held: list[Segment]


def prunable(
    segments: list[Segment],
    cursor: Position,
    waits: Position,
    today: str,
    keep_days: int,
    holds: Callable[[str], bool],
) -> Prunable:
    """Which segments may be deleted.

    Args:
        segments: all, oldest first.
        cursor: the writer's.
        waits: the earliest place of a waiting day; the cursor if no day waits.
        today: YYYYMMDD in Hong Kong, by clocks that agree.
        keep_days: for how many days stored segments are kept.
        holds: whether a day has a database that is not sealed.
    """
    if not segments:
        return Prunable([], [])
    # A segment is named by the clock of the moment it was begun. A name in the future or the past must not make other
    # segments look old: age counts from the earlier of the newest name and today, and no segment counts as older than
    # the ones before it.
    newest = min(today, segments[-1].day)
    oldest, oldest_held = day_before(newest, keep_days), day_before(newest, max(keep_days, KEEP_UNSEALED_DAYS))
    found = Prunable([], [])
    latest = ""
    for segment in segments:
        if segment.day <= newest:
            latest = max(latest, segment.day)
        day = max(segment.day, latest)
        if segment.number >= cursor.segment or day >= oldest:
            continue
        # It may hold ticks of the day before and outages of the day after, and its own name may be a day off.
        its_days = (day_before(day, 1), day, day_before(day, -1))
        is_held = day >= oldest_held and (segment.number >= waits.segment or any(map(holds, its_days)))
        (found.held if is_held else found.going).append(segment)
    return found


class Pruner:
    """Prunes once an hour, for as long as the recorder runs."""

    def __init__(self, settings: Settings, data_root: Path, session: ClientState) -> None:
        """Does not delete anything yet.

        Args:
            settings: the recorder's.
            data_root: whose journal.
            session: the current state of the connection to OpenD.
        """
        self._root = data_root
        self._keep_days = settings.journal_keep_days
        self._seals = settings.seal_enabled
        self._session = session
        self._limiter = logs.Limiter(TOLD_EVERY_SEC)

    async def run(self) -> None:
        """Prune once an hour; never ends."""
        while True:
            await asyncio.sleep(PRUNE_EVERY_SEC)
            await self.look()

    async def look(self) -> None:
        """Delete what may be deleted. Logs once a day what is kept for a reason that should pass."""
        session = self._session
        opend_ms = session.opend_ms()  # this also detects a step of the host's clock
        reason = disagreement(session.clock_offset_ms)
        if reason is not None:
            self._tell_kept(reason)
            return
        today = hk_day(min(opend_ms, session.clock.now_ms()))
        try:
            found = await asyncio.to_thread(self._prune, today)
        except (OSError, ValueError, OverflowError) as exc:  # also a name that is not a valid day
            log.error("journal_not_pruned", error=exc)
            return
        if found.going:
            log.info("journal_pruned", segments=len(found.going), bytes=sum(s.size_bytes for s in found.going))
        if found.held:
            days = f"{found.held[0].day} to {found.held[-1].day}"
            why = "a day of theirs is not sealed, or waits; see seal_failed, day_waits"
            self._tell_kept(f"{len(found.held)} segments of {days}: {why}")

    def _prune(self, today: str) -> Prunable:
        journal = self._root / DIRECTORY
        cursor, waits = load_cursor(journal), needed_from(journal)
        if cursor is None or waits is None:
            return Prunable([], [])
        found = prunable(list_segments(journal), cursor, waits, today, self._keep_days, self._holds)
        for segment in found.going:
            segment.path.unlink(missing_ok=True)
        return found

    def _holds(self, day: str) -> bool:
        """Whether a day has a database that is not sealed. A link counts even if its target is missing for now."""
        database = self._root / f"{day}.db"
        return self._seals and os.path.lexists(database) and not is_sealed(database)

    def _tell_kept(self, reason: str) -> None:
        held = self._limiter.allow("kept")
        if held is not None:
            log.warning("journal_kept", reason=reason, repeated=held)

"""Why the stream may have missed something, and since when: kept by the session until it resumes.

Owns the outages that are not made good yet. Never asks anything and looks at no clock; times are the host's, UTC
epoch ms.
"""

from __future__ import annotations

from typing import NamedTuple

from hk_tick_collector.resumption import Cause, gravest


class Outage(NamedTuple):
    """Why, and since when; None: it is not known."""

    cause: Cause
    since_ms: int | None


class Outages:
    """What is to be told at the next resumption. A process begins with one: it did not run before."""

    def __init__(self) -> None:
        self._pending: Outage | None = Outage(Cause.RECORDER_DOWN, None)
        self._away: Outage | None = None  # OpenD itself is without its exchange or its right now

    @property
    def is_open(self) -> bool:
        """Whether something is going on that no resumption has told of: nothing can be concluded from totals now."""
        return self._pending is not None or self._away is not None

    @property
    def is_away(self) -> bool:
        """Whether OpenD is without its exchange or the quote right, as far as is known."""
        return self._away is not None

    def lost(self, cause: Cause, since_ms: int | None) -> None:
        """Something may be missing from `since_ms` on; what was pending already began before it."""
        found = Outage(cause, since_ms)
        if self._pending is not None:
            before = self._pending
            known = None if before.since_ms is None or since_ms is None else min(before.since_ms, since_ms)
            found = Outage(gravest(before.cause, cause), known)
        self._pending = found

    def went_away(self, cause: Cause, since_ms: int) -> None:
        """OpenD has lost the exchange or the quote right, until `came_back`."""
        if self._away is None:
            self._away = Outage(cause, since_ms)

    def came_back(self, otherwise: Outage) -> None:
        """OpenD has regained it; `otherwise` is what is missing if nothing was known to be lost."""
        found = self._away or otherwise
        self._away = None
        self.lost(*found)

    def resume(self) -> Outage:
        """What the resumption is to tell. What goes on (OpenD is still away) is told again when it ends."""
        found = [outage for outage in (self._pending, self._away) if outage is not None]
        self._pending = None
        if not found:
            return Outage(Cause.UNKNOWN, None)
        times = [outage.since_ms for outage in found]
        known = [ms for ms in times if ms is not None]
        return Outage(gravest(*(outage.cause for outage in found)), min(known) if len(known) == len(times) else None)

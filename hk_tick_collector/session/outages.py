"""Why the stream may have missed something, and since when: kept by the session until it resumes.

Owns the outages that are not made good yet. Never asks anything and looks at no clock; times are the host's, UTC
epoch ms.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.journal.events import Cause, gravest
from hk_tick_collector.opend.numbers import REPLAYED_MAX, TICKER_REPLY_MAX

# Where OpenD itself was without its source, also as far as only its return is known.
_OF_OPEND: Final = frozenset({Cause.EXCHANGE_LOST, Cause.KICKED_OUT, Cause.UNKNOWN})


KICK_GRACE_MS: Final = 5_000  # pushes that were under way when the right was taken away


class Outage(NamedTuple):
    """Why, and since when; None: it is not known."""

    cause: Cause
    since_ms: int | None

    @property
    def reach(self) -> int:
        """How many ticks of a symbol can be had when it is over."""
        return REPLAYED_MAX if self.cause in {Cause.EXCHANGE_LOST, Cause.KICKED_OUT} else TICKER_REPLY_MAX

    @property
    def is_of_opend(self) -> bool:
        """Whether OpenD may have been without its source: then it is fetched as deep as OpenD goes, come what may."""
        return self.cause in _OF_OPEND


class Outages:
    """What is to be told at the next resumption. A process begins with one: it did not run before."""

    def __init__(self) -> None:
        self._pending: Outage | None = Outage(Cause.RECORDER_DOWN, None)
        self._away: Outage | None = None  # OpenD itself is without its exchange or its right now
        self._resuming: Outage | None = None  # told, and not all is fetched yet
        self._is_without_right = False  # OpenD has said that its quote right gives no pushes

    @property
    def is_open(self) -> bool:
        """Whether something is going on that no resumption has told of: nothing can be concluded from totals now."""
        return self._pending is not None or self._away is not None

    @property
    def away(self) -> Outage | None:
        """What OpenD itself is without now: its exchange, or its quote right; None: nothing, as far as it has said."""
        return self._away

    @property
    def is_without_right(self) -> bool:
        """Whether OpenD has a quote right that gives no pushes: to be logged in is not enough then."""
        return self._away is not None and self._is_without_right

    def has_come_back(self, last_push_ms: int | None, *, is_new_session: bool) -> bool:
        """Whether what OpenD was without is there again, though no notice said so: it calls itself logged in.

        It may do that while another login has the quote right, with old data. There only a push is proof, or that it
        says so of itself to a new session. Where it has said that its right gives no pushes, only a push is.
        """
        if self._away is None:
            return False
        if not self._is_without_right and (self._away.cause is not Cause.KICKED_OUT or is_new_session):
            return True
        since_ms = self._away.since_ms
        return last_push_ms is not None and since_ms is not None and last_push_ms > since_ms + KICK_GRACE_MS

    def lost(self, cause: Cause, since_ms: int | None) -> None:
        """Something may be missing from `since_ms` on; what was pending already began before it."""
        found = Outage(cause, since_ms)
        if self._pending is not None:
            before = self._pending
            known = None if before.since_ms is None or since_ms is None else min(before.since_ms, since_ms)
            found = Outage(gravest(before.cause, cause), known)
        self._pending = found

    def went_away(self, cause: Cause, since_ms: int, *, is_without_right: bool = False) -> None:
        """OpenD has lost the exchange or the quote right, until `came_back`.

        Args:
            cause: which.
            since_ms: from when on.
            is_without_right: it has said that its quote right gives no pushes.
        """
        self._is_without_right |= is_without_right
        if self._away is None:
            self._away = Outage(cause, since_ms)

    def came_back(self, otherwise: Outage) -> None:
        """OpenD has regained it; `otherwise` is what is missing if nothing was known to be lost."""
        found = self._away or otherwise
        self._away, self._is_without_right = None, False
        self.lost(*found)

    def resume(self) -> Outage:
        """What the resumption is to tell. What goes on (OpenD is still away) is told again when it ends."""
        found = _as_one(self._pending, self._away) or Outage(Cause.UNKNOWN, None)
        self._pending = None
        self._resuming = _as_one(self._resuming, found)  # one before it may have been cut off while it was fetched
        return found

    def shift(self, step_ms: int) -> None:
        """The host's clock was set forward by so much: each outage began when it would have said so."""
        self._pending, self._away, self._resuming = (
            outage and _shifted(outage, step_ms) for outage in (self._pending, self._away, self._resuming)
        )

    def fetched(self) -> None:
        """All that was missed up to the resumption is fetched, as far as OpenD had it."""
        self._resuming = None

    def now(self) -> Outage | None:
        """What goes on, until all is fetched; None: nothing."""
        return _as_one(self._pending, self._away, self._resuming)


def _shifted(outage: Outage, step_ms: int) -> Outage:
    return outage if outage.since_ms is None else outage._replace(since_ms=outage.since_ms + step_ms)


def _as_one(*outages: Outage | None) -> Outage | None:
    """Several as one, from the first on; since an unknown time where one of them is."""
    found = [outage for outage in outages if outage is not None]
    if not found:
        return None
    times = [outage.since_ms for outage in found]
    known = [ms for ms in times if ms is not None]
    return Outage(gravest(*(outage.cause for outage in found)), min(known) if len(known) == len(times) else None)

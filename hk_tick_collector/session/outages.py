"""Why the stream may have missed something, and since when: kept by the session until it resumes.

Owns the outages that are not recovered yet. Never asks OpenD anything, and never reads a clock; times are the host's,
UTC epoch ms.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.journal.events import Cause, gravest
from hk_tick_collector.opend.numbers import REPLAYED_MAX, TICKER_REPLY_MAX

# OpenD itself was without its source. UNKNOWN counts too: perhaps only OpenD's return was seen.
_OF_OPEND: Final = frozenset({Cause.EXCHANGE_LOST, Cause.KICKED_OUT, Cause.UNKNOWN})


KICK_GRACE_MS: Final = 5_000  # pushes may still be on their way when the right is taken


class Outage(NamedTuple):
    """Why the stream was interrupted, and since when; None: not known."""

    cause: Cause
    since_ms: int | None

    @property
    def reach(self) -> int:
        """How many ticks of a symbol can be recovered when it is over."""
        return REPLAYED_MAX if self.cause in {Cause.EXCHANGE_LOST, Cause.KICKED_OUT} else TICKER_REPLY_MAX

    @property
    def is_of_opend(self) -> bool:
        """Whether OpenD may have been without its source: then always fetch as deep as OpenD goes."""
        return self.cause in _OF_OPEND


class Outages:
    """The outages to report at the next resumption. A process begins with one: the recorder did not run before."""

    def __init__(self) -> None:
        self._pending: Outage | None = Outage(Cause.RECORDER_DOWN, None)
        self._away: Outage | None = None  # OpenD itself is without its exchange or its right now
        self._resuming: Outage | None = None  # reported, but not all is fetched yet
        self._is_without_right = False  # OpenD has reported a quote right that gives no pushes

    @property
    def is_open(self) -> bool:
        """Whether there is an outage that no resumption has reported: nothing can be concluded from totals now."""
        return self._pending is not None or self._away is not None

    @property
    def away(self) -> Outage | None:
        """What OpenD itself is without now: its exchange or its quote right; None: nothing that it has reported."""
        return self._away

    @property
    def is_without_right(self) -> bool:
        """Whether OpenD has a quote right that gives no pushes: then being logged in is not enough."""
        return self._away is not None and self._is_without_right

    def has_come_back(self, last_push_ms: int | None, *, is_new_session: bool) -> bool:
        """Whether OpenD, which reports being logged in, has regained what it was without, though no notice said so.

        It may report that, with old data, while another login has the quote right. After a kick-out the proof is a
        push, or a login that it reports to a new session. After it reported a right without pushes, only a push is.
        """
        if self._away is None:
            return False
        if not self._is_without_right and (self._away.cause is not Cause.KICKED_OUT or is_new_session):
            return True
        since_ms = self._away.since_ms
        return last_push_ms is not None and since_ms is not None and last_push_ms > since_ms + KICK_GRACE_MS

    def lost(self, cause: Cause, since_ms: int | None) -> None:
        """Something may be missing from `since_ms` on. A pending outage is merged with it, with the earlier start."""
        found = Outage(cause, since_ms)
        if self._pending is not None:
            before = self._pending
            known = None if before.since_ms is None or since_ms is None else min(before.since_ms, since_ms)
            found = Outage(gravest(before.cause, cause), known)
        self._pending = found

    def went_away(self, cause: Cause, since_ms: int, *, is_without_right: bool = False) -> None:
        """OpenD has lost the exchange or the quote right, until `came_back`.

        Args:
            cause: which of them.
            since_ms: since when.
            is_without_right: OpenD has reported a quote right that gives no pushes.
        """
        self._is_without_right |= is_without_right
        if self._away is None:
            self._away = Outage(cause, since_ms)

    def came_back(self, otherwise: Outage) -> None:
        """OpenD has regained the exchange or the right; `otherwise` is the outage if no loss was known."""
        found = self._away or otherwise
        self._away, self._is_without_right = None, False
        self.lost(*found)

    def resume(self) -> Outage:
        """The outage that the resumption reports. If OpenD is still away, it is reported again when that ends."""
        found = _as_one(self._pending, self._away) or Outage(Cause.UNKNOWN, None)
        self._pending = None
        self._resuming = _as_one(self._resuming, found)  # the backfill of an earlier one may have been cut off
        return found

    def shift(self, step_ms: int) -> None:
        """The host's clock was set forward by `step_ms`: convert the outages' times to the new clock."""
        self._pending, self._away, self._resuming = (
            outage and _shifted(outage, step_ms) for outage in (self._pending, self._away, self._resuming)
        )

    def fetched(self) -> None:
        """All that was missed up to the resumption is fetched, as far as OpenD had it."""
        self._resuming = None

    def now(self) -> Outage | None:
        """The current outage, which lasts until all is fetched; None: there is no outage."""
        return _as_one(self._pending, self._away, self._resuming)


def _shifted(outage: Outage, step_ms: int) -> Outage:
    return outage if outage.since_ms is None else outage._replace(since_ms=outage.since_ms + step_ms)


def _as_one(*outages: Outage | None) -> Outage | None:
    """Merge outages into one, from the earliest start on; the start is unknown (None) if any of them is."""
    found = [outage for outage in outages if outage is not None]
    if not found:
        return None
    times = [outage.since_ms for outage in found]
    known = [ms for ms in times if ms is not None]
    return Outage(gravest(*(outage.cause for outage in found)), min(known) if len(known) == len(times) else None)

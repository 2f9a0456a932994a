"""Gaps by the outage in which they arose: one loss with its time, its cause, and what was recovered. Pure.

An outage ends at the same moment for all symbols. Where the cause is not known there was no outage; then gaps that
overlap, or follow each other within a minute, count as one.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.audit.wording import bounds_of, outages_of
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.audit.day import Gap
    from hk_tick_collector.seal.catalog import DayGap

UNKNOWN: Final = "unknown"
APART_MS: Final = 60_000


class Loss(NamedTuple):
    """The gaps of an outage. Times in UTC epoch ms.

    Attributes:
        day: YYYYMMDD.
        cause: why the stream broke off.
        begin_ms: when the stream was last proven; if that is not known, the earliest bound of a gap; None: neither.
        end_ms: when the stream resumed; without an outage, the latest bound of a gap.
        symbols: how many have a gap.
        gaps: how many there are.
        open: how many of them are not filled.
        ticks_lost: in open gaps, as far as they are counted.
        shares_lost: in open gaps where only shares are known, at least.
        is_counted: whether the ticks of all open gaps are counted.
        ticks_recovered: in filled gaps, as far as they are counted.
    """

    day: str
    cause: str
    begin_ms: int | None
    end_ms: int
    symbols: int
    gaps: int
    open: int
    ticks_lost: int
    shares_lost: int
    is_counted: bool
    ticks_recovered: int

    @property
    def long_sec(self) -> float | None:
        """How long it lasted; None: its begin is not known."""
        return None if self.begin_ms is None else (self.end_ms - self.begin_ms) / 1000

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self._asdict(), "long_sec": self.long_sec}

    def lost_text(self) -> str:
        """`12 ticks`; `≥ 12 ticks` if not all are counted; `≥ 300 shares`; `some ticks`; `none`."""
        return amount_text(self.ticks_lost, self.shares_lost, is_all=self.is_counted) if self.open else "none"

    def recovered_text(self) -> str:
        """`all`, `none`, or the number of ticks, `some` if they are not counted."""
        if not self.open:
            return "all"
        if self.open == self.gaps:
            return "none"
        return counted(self.ticks_recovered, "tick") if self.ticks_recovered else "some"


def amount_text(ticks: int | None, shares: int | None, *, is_all: bool = True) -> str:
    """What open gaps lack: ticks if any are counted (`is_all`: those are all of them), else shares, at least."""
    if ticks:
        return f"{'' if is_all else '≥ '}{counted(ticks, 'tick')}"
    return f"≥ {counted(shares, 'share')}" if shares else "some ticks"


def losses(found: Iterable[DayGap]) -> list[Loss]:
    """The outages of some gaps, oldest first."""
    groups: list[tuple[str, list[Gap]]] = []
    for day, of_day in groupby(found, key=lambda one: one.day):
        gaps = [one.gap for one in of_day]
        groups += [(day, group) for group in outages_of(gap for gap in gaps if gap.cause != UNKNOWN)]
        groups += [(day, group) for group in _near([gap for gap in gaps if gap.cause == UNKNOWN])]
    return sorted((_loss(day, group) for day, group in groups), key=lambda loss: (loss.day, loss.end_ms))


def _near(gaps: list[Gap]) -> list[list[Gap]]:
    """Gaps without an outage, grouped by time."""
    groups: list[list[Gap]] = []
    until_ms = 0
    for gap in sorted(gaps, key=_begin_ms):
        if not groups or _begin_ms(gap) > until_ms + APART_MS:
            groups.append([])
            until_ms = 0
        groups[-1].append(gap)
        until_ms = max(until_ms, bounds_of(gap).end_ms or gap.resumed_ms)
    return groups


def _begin_ms(gap: Gap) -> int:
    begin_ms = bounds_of(gap).begin_ms
    return gap.resumed_ms if begin_ms is None else begin_ms


def _loss(day: str, gaps: list[Gap]) -> Loss:
    still_open = [gap for gap in gaps if gap.state == "open"]
    is_outage = gaps[0].cause != UNKNOWN
    since = [gap.since_ms for gap in gaps if is_outage and gap.since_ms is not None]
    begins = since or [ms for gap in gaps if (ms := bounds_of(gap).begin_ms) is not None]
    # The first to end is the outage's own end: others may be stored as a millisecond later.
    ends = [gaps[0].resumed_ms] if is_outage else [bounds_of(gap).end_ms or gap.resumed_ms for gap in gaps]
    return Loss(
        day=day,
        cause=gaps[0].cause,
        begin_ms=min(begins, default=None),
        end_ms=max(ends),
        symbols=len({gap.symbol for gap in gaps}),
        gaps=len(gaps),
        open=len(still_open),
        ticks_lost=sum(gap.missing or 0 for gap in still_open),
        shares_lost=sum(gap.missing_volume or 0 for gap in still_open if gap.missing is None),
        is_counted=all(gap.missing is not None for gap in still_open),
        ticks_recovered=sum(gap.missing or 0 for gap in gaps if gap.state != "open"),
    )

"""Reads a snapshot of many securities: for each the totals of its day, and its own time."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.errors import BadTickError, RefusedError, RemoteProtocolError, TimeFormatError
from hk_tick_collector.hktime import hk_day, parse_time
from hk_tick_collector.opend.messages import day_totals

if TYPE_CHECKING:
    from hk_tick_collector.opend.messages import DayTotals

VOLUME_MAX: Final = 1 << 62  # shares; no real volume is greater


class Told(NamedTuple):
    """What a snapshot has of a security: the day of its totals (None: it can't be read), its own time, the totals."""

    day: str | None
    own_ms: int | None
    totals: DayTotals


def read_totals(body: bytes) -> list[Told]:
    """Read a GetSecuritySnapshot reply; before the opening a security may still have the totals of the day before.

    Empty if it can't be read or is a refusal, which the session reports.
    """
    try:
        found = day_totals(body)
    except (RefusedError, RemoteProtocolError, BadTickError):  # the session reports it
        return []
    told = []
    for totals in found:
        if not isfinite(totals.turnover) or not 0 <= totals.volume < VOLUME_MAX:
            continue  # not a real volume or turnover
        try:
            own_ms = parse_time(totals.time).ms
            told.append(Told(hk_day(own_ms), own_ms, totals))
        except (TimeFormatError, OverflowError, ValueError):
            told.append(Told(None, None, totals))  # a security that has never traded has no time
    return told

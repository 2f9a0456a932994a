"""What a snapshot of many securities tells of each: the totals of its day, and its own time."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.errors import BadTickError, RemoteProtocolError
from hk_tick_collector.hktime import hk_day, parse_time
from hk_tick_collector.opend.messages import RefusedError, day_totals

if TYPE_CHECKING:
    from hk_tick_collector.opend.messages import DayTotals

VOLUME_MAX: Final = 1 << 62  # shares; more than that is no number of shares


class Told(NamedTuple):
    """Of a security, what a snapshot tells: the day that it is of (None: no day can be read), and its own time."""

    day: str | None
    own_ms: int | None
    totals: DayTotals


def read_totals(body: bytes) -> list[Told]:
    """Read a GetSecuritySnapshot reply; before the opening a security may still tell the day before.

    Empty if it can't be read or is a refusal: the session tells of that.
    """
    try:
        found = day_totals(body)
    except (RefusedError, RemoteProtocolError, BadTickError):  # told by the session
        return []
    told = []
    for totals in found:
        if not isfinite(totals.turnover) or not 0 <= totals.volume < VOLUME_MAX:
            continue  # no numbers of shares and money
        try:
            own_ms = parse_time(totals.time).ms
            told.append(Told(hk_day(own_ms), own_ms, totals))
        except (BadTickError, OverflowError, ValueError):
            told.append(Told(None, None, totals))  # a security that was never traded has no time
    return told

"""The sessions of a trading day, with their auctions, as the exchange holds them on whole and on half days.

Owns the clock times; whether a day is whole or half is OpenD's to say. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.hktime import parse_time

_MINUTE_MS: Final = 60_000

# Hong Kong's clock, in minutes since midnight (HKEX's trading hours). The auction's end is the latest that it can be.
_PRE_OPENING = ("pre-opening", 9 * 60, 9 * 60 + 30)
_MORNING = ("morning", 9 * 60 + 30, 12 * 60)
_AFTERNOON = ("afternoon", 13 * 60, 16 * 60)
_WHOLE = (_PRE_OPENING, _MORNING, _AFTERNOON, ("closing auction", 16 * 60, 16 * 60 + 10))
_SESSIONS: Final = {
    "whole": _WHOLE,
    "morning": (_PRE_OPENING, _MORNING, ("closing auction", 12 * 60, 12 * 60 + 10)),
    # After a storm; it has not happened since 2024, when Hong Kong began to trade through them.
    "afternoon": (_PRE_OPENING, _AFTERNOON, ("closing auction", 16 * 60, 16 * 60 + 10)),
}

# The last print comes some seconds after the auction's end, and OpenD is asked once a minute whether it still has the
# exchange: what it says of the day later than this is the last word.
AFTER_CLOSE_MS: Final = 2 * _MINUTE_MS


class Session(NamedTuple):
    """A part of a trading day, UTC epoch ms; its end is not in it."""

    name: str
    begin_ms: int
    end_ms: int


def sessions_of(day: str, date_type: str | None) -> tuple[Session, ...]:
    """The sessions of a day.

    Args:
        day: YYYYMMDD.
        date_type: 'whole', 'morning' or 'afternoon'; anything else counts as whole, whose close is the latest.
    """
    midnight_ms = parse_time(day + "000000").ms
    return tuple(
        Session(name, midnight_ms + begin * _MINUTE_MS, midnight_ms + end * _MINUTE_MS)
        for name, begin, end in _SESSIONS.get(date_type or "", _WHOLE)
    )


def is_after_close(ms: int, sessions: tuple[Session, ...]) -> bool:
    """Whether nothing more can come of these sessions at that moment, by OpenD's clock."""
    return ms >= sessions[-1].end_ms + AFTER_CLOSE_MS

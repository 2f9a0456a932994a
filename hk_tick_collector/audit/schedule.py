"""The sessions of a trading day, with their auctions, on whole and half days.

Owns which sessions a day has; whether it is whole or half comes from OpenD's calendar. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.hktime import (
    AFTERNOON_MS,
    CLOSE_MS,
    CLOSING_PRINT_MS,
    MINUTE_MS,
    MORNING_MS,
    NOON_MS,
    PRE_OPENING_MS,
    day_begin_ms,
)

_AUCTION_MS: Final = CLOSING_PRINT_MS - CLOSE_MS  # at the latest

_PRE_OPENING = ("pre-opening", PRE_OPENING_MS, MORNING_MS)
_MORNING = ("morning", MORNING_MS, NOON_MS)
_AFTERNOON = ("afternoon", AFTERNOON_MS, CLOSE_MS)
_AUCTION = ("closing auction", CLOSE_MS, CLOSING_PRINT_MS)
_WHOLE = (_PRE_OPENING, _MORNING, _AFTERNOON, _AUCTION)
_SESSIONS: Final = {
    "whole": _WHOLE,
    "morning": (_PRE_OPENING, _MORNING, ("closing auction", NOON_MS, NOON_MS + _AUCTION_MS)),
    # After a storm. Hong Kong has traded through storms since 2024, so this has not happened since.
    "afternoon": (_PRE_OPENING, _AFTERNOON, _AUCTION),
}

# The last print comes some seconds after the auction's end, and OpenD is asked once a minute whether it still has the
# exchange: a snapshot later than this can be the last word.
AFTER_CLOSE_MS: Final = 2 * MINUTE_MS
# The auction ends at a random moment within its last two minutes.
CLOSING_SPAN_MS: Final = 2 * MINUTE_MS


class Session(NamedTuple):
    """A part of a trading day, UTC epoch ms; the end is exclusive."""

    name: str
    begin_ms: int
    end_ms: int


def sessions_of(day: str, date_type: str | None) -> tuple[Session, ...]:
    """The sessions of a day.

    Args:
        day: YYYYMMDD.
        date_type: 'whole', 'morning' or 'afternoon'; anything else counts as whole, since that has the latest close.
    """
    midnight_ms = day_begin_ms(day)
    return tuple(
        Session(name, midnight_ms + begin_ms, midnight_ms + end_ms)
        for name, begin_ms, end_ms in _SESSIONS.get(date_type or "", _WHOLE)
    )


def after_close_ms(sessions: tuple[Session, ...]) -> int:
    """When these sessions are over and their last print has come, by the exchange's time."""
    return sessions[-1].end_ms + AFTER_CLOSE_MS


def closing_print_ms(sessions: tuple[Session, ...]) -> int:
    """The earliest moment of the closing auction's prints: an update time from then on is of after the close."""
    return sessions[-1].end_ms - CLOSING_SPAN_MS


def traded_type(day: str, date_type: str | None, last_ms: int | None) -> str | None:
    """The type of day as it was traded: a half day with trades in the afternoon was a whole one.

    Args:
        day: YYYYMMDD.
        date_type: by OpenD's calendar.
        last_ms: the time of the last trade; None: there is none.
    """
    afternoon_ms = day_begin_ms(day) + AFTERNOON_MS
    if date_type == "morning" and last_ms is not None and last_ms >= afternoon_ms:
        return "whole"
    return date_type

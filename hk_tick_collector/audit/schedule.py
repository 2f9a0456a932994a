"""The sessions of a trading day, with their auctions, as the exchange holds them on whole and on half days.

Owns which sessions a day has; whether it is whole or half is OpenD's to say. Pure.
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
    parse_time,
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
    # After a storm; it has not happened since 2024, when Hong Kong began to trade through them.
    "afternoon": (_PRE_OPENING, _AFTERNOON, _AUCTION),
}

# The last print comes some seconds after the auction's end, and OpenD is asked once a minute whether it still has the
# exchange: what it says of the day later than this is the last word.
AFTER_CLOSE_MS: Final = 2 * MINUTE_MS
# The auction ends at a random moment within its last two minutes.
CLOSING_SPAN_MS: Final = 2 * MINUTE_MS


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
        Session(name, midnight_ms + begin_ms, midnight_ms + end_ms)
        for name, begin_ms, end_ms in _SESSIONS.get(date_type or "", _WHOLE)
    )


def after_close_ms(sessions: tuple[Session, ...]) -> int:
    """From when on nothing more can come of these sessions, by the exchange's time."""
    return sessions[-1].end_ms + AFTER_CLOSE_MS


def closing_print_ms(sessions: tuple[Session, ...]) -> int:
    """The earliest moment of the closing auction's prints: what the market shows later is of after the close."""
    return sessions[-1].end_ms - CLOSING_SPAN_MS


def traded_type(day: str, date_type: str | None, last_ms: int | None) -> str | None:
    """Which sessions a day really had: a half day on which there are trades in the afternoon was none.

    Args:
        day: YYYYMMDD.
        date_type: as OpenD's calendar says.
        last_ms: of the last trade; None: there is none.
    """
    afternoon_ms = parse_time(day + "000000").ms + AFTERNOON_MS
    if date_type == "morning" and last_ms is not None and last_ms >= afternoon_ms:
        return "whole"
    return date_type

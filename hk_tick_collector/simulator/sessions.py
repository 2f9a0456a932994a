"""The sessions of a Hong Kong trading day: their hours, how busy each minute is, the market state that OpenD reports.

All times of day are seconds after Hong Kong midnight. Hong Kong has had no daylight saving time since 1979, so the zone
is a constant eight hours. Sources: HKEX trading hours; for the closing print's delay, published ticks (16:08:12).
"""

from __future__ import annotations

import datetime as dt
from math import exp
from time import gmtime, strftime
from typing import Final

from hk_tick_collector.opend.market import MarketState

HK_OFFSET_SEC: Final = 8 * 3600
DAY_SEC: Final = 86_400
_EPOCH = dt.date(1970, 1, 1)


def _at(hour: int, minute: int = 0) -> int:
    return hour * 3600 + minute * 60


PRE_OPEN_SEC: Final = _at(9)
OPENING_MATCH_SEC: Final = _at(9, 20)
MORNING_SEC: Final = _at(9, 30)
NOON_SEC: Final = _at(12)
AFTERNOON_SEC: Final = _at(13)
CLOSE_SEC: Final = _at(16)
AUCTION_LASTS_SEC: Final = 8 * 60  # from a session's end to the earliest closing match
MATCH_WINDOW_SEC: Final = 2 * 60  # the match comes at a random moment in it, at the open and the close

# (begin, state from then on)
_WHOLE_DAY = (
    (0, MarketState.CLOSED),
    (PRE_OPEN_SEC, MarketState.AUCTION),
    (OPENING_MATCH_SEC, MarketState.WAITING_OPEN),
    (MORNING_SEC, MarketState.MORNING),
    (NOON_SEC, MarketState.REST),
    (AFTERNOON_SEC, MarketState.AFTERNOON),
    (CLOSE_SEC, MarketState.HK_CAS),
    (CLOSE_SEC + AUCTION_LASTS_SEC, MarketState.CLOSED),
)
_HALF_DAY = (
    *_WHOLE_DAY[:4],
    (NOON_SEC, MarketState.HK_CAS),
    (NOON_SEC + AUCTION_LASTS_SEC, MarketState.CLOSED),
)

# Share of a day's trades while the closing auction collects orders: odd lots, as in a published tick of 16:04:41.
_AUCTION_ODD_LOTS = 0.0005


def midnight_sec(date: dt.date) -> int:
    """Epoch seconds of Hong Kong midnight."""
    return (date - _EPOCH).days * DAY_SEC - HK_OFFSET_SEC


def hk_time(second: int) -> str:
    """Epoch seconds as OpenD writes a tick's time: '2026-11-20 09:30:00'."""
    return strftime("%Y-%m-%d %H:%M:%S", gmtime(second + HK_OFFSET_SEC))


def close_sec(*, half_day: bool) -> int:
    """When continuous trading ends."""
    return NOON_SEC if half_day else CLOSE_SEC


def state_at(second_of_day: int, *, half_day: bool) -> MarketState:
    """The market state that OpenD reports at a time of day."""
    states = _HALF_DAY if half_day else _WHOLE_DAY
    return next(state for begin, state in reversed(states) if second_of_day >= begin)


def busyness(*, half_day: bool) -> list[tuple[int, float]]:
    """(begin, share of the day's trades) of each minute that has trades, in order; the shares add up to 1.

    The curve is U-shaped: busiest after the open and before the close, with a smaller peak after lunch.
    """
    close = close_sec(half_day=half_day)
    sessions = [range(MORNING_SEC, NOON_SEC, 60)]
    if not half_day:
        sessions.append(range(AFTERNOON_SEC, CLOSE_SEC, 60))
    minutes = [
        (
            begin,
            1.0
            + 2.5 * exp((MORNING_SEC - begin) / 900)
            + (0.7 * exp((AFTERNOON_SEC - begin) / 600) if begin >= AFTERNOON_SEC else 0.0)
            + 1.8 * exp((begin - close) / 600),
        )
        for session in sessions
        for begin in session
    ]
    total = sum(weight for _, weight in minutes)
    auction = range(close, close + AUCTION_LASTS_SEC, 60)
    return [(begin, weight / total * (1 - _AUCTION_ODD_LOTS)) for begin, weight in minutes] + [
        (begin, _AUCTION_ODD_LOTS / len(auction)) for begin in auction
    ]

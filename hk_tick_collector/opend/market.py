"""OpenD's states of the Hong Kong stock market, and which of them may have trades."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class MarketState(IntEnum):
    """The values of Qot_Common.QotMarketState that the Hong Kong stock market takes, with OpenD's numbers and names."""

    NONE = 0
    AUCTION = 1
    WAITING_OPEN = 2
    MORNING = 3
    REST = 4
    AFTERNOON = 5
    CLOSED = 6
    HK_CAS = 19
    CLOSE_AUCTION = 30
    AFTERNOON_END = 31
    TRADE_AT_LAST = 35
    TRADE_AUCTION = 36


MARKET_WORDS: Final = {int(state): state.name for state in MarketState}
CONTINUOUS: Final = frozenset({"MORNING", "AFTERNOON"})
"""The names of the states with continuous trading."""
# The states without trades. In WAITING_OPEN the opening match comes, and in the closing auction odd lots trade. The
# auction's last print comes after OpenD already reports CLOSED, so nothing may stop at CLOSED.
CLOSED_WORDS: Final = frozenset({"NONE", "REST", "CLOSED", "AFTERNOON_END"})


def market_word(state: int) -> str:
    """OpenD's name for a market state; for an unknown state, its number."""
    return MARKET_WORDS.get(state, str(state))


def may_trade(market: str | None) -> bool:
    """Whether there may be trades in this state; an unknown state must not count as closed."""
    return market is not None and market not in CLOSED_WORDS

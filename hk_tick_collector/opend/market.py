"""OpenD's states of the Hong Kong stock market, and in which of them there may be trades."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class MarketState(IntEnum):
    """Qot_Common.QotMarketState, as far as the Hong Kong stock market takes its values. OpenD's numbers, its words."""

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
"""The words for continuous trading."""
# The states in which there are no trades. The opening match comes while it waits for the opening, odd lots in the
# closing auction. Its last print comes when OpenD says CLOSED already, so nothing may stop at that.
CLOSED_WORDS: Final = frozenset({"NONE", "REST", "CLOSED", "AFTERNOON_END"})


def market_word(state: int) -> str:
    """OpenD's word for a state of the market; of one that nobody has heard of its number."""
    return MARKET_WORDS.get(state, str(state))


def may_trade(market: str | None) -> bool:
    """Whether there may be trades by OpenD's word; a state that nobody has heard of must not count as closed."""
    return market is not None and market not in CLOSED_WORDS

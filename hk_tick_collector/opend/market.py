"""OpenD's states of the Hong Kong stock market, and in which of them there may be trades."""

from __future__ import annotations

from typing import Final

# Qot_Common.QotMarketState, as far as the Hong Kong stock market takes its values. OpenD's numbers, its words.
MARKET_WORDS: Final = {
    0: "NONE",
    1: "AUCTION",
    2: "WAITING_OPEN",
    3: "MORNING",
    4: "REST",
    5: "AFTERNOON",
    6: "CLOSED",
    19: "HK_CAS",
    30: "CLOSE_AUCTION",
    31: "AFTERNOON_END",
    35: "TRADE_AT_LAST",
    36: "TRADE_AUCTION",
}
# The states in which there are no trades. The opening match comes while it waits for the opening, odd lots in the
# closing auction. Its last print comes when OpenD says CLOSED already, so nothing may stop at that.
CLOSED_WORDS: Final = frozenset({"NONE", "REST", "CLOSED", "AFTERNOON_END"})


def market_word(state: int) -> str:
    """OpenD's word for a state of the market; of one that nobody has heard of its number."""
    return MARKET_WORDS.get(state, str(state))


def may_trade(market: str | None) -> bool:
    """Whether there may be trades by OpenD's word; a state that nobody has heard of must not count as closed."""
    return market is not None and market not in CLOSED_WORDS

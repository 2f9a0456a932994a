"""States of the market: OpenD's words for them, and in which there may be trades."""

from __future__ import annotations

import pytest

from hk_tick_collector.opend.market import market_word, may_trade


@pytest.mark.parametrize(
    ("state", "word", "may"),
    [
        (0, "NONE", False),
        (1, "AUCTION", True),
        (2, "WAITING_OPEN", True),
        (3, "MORNING", True),
        (4, "REST", False),
        (6, "CLOSED", False),
        (19, "HK_CAS", True),
        (31, "AFTERNOON_END", False),
        (77, "77", True),
        (-1, "-1", True),
    ],
)
def test_a_state_that_nobody_has_heard_of_does_not_count_as_closed(state: int, word: str, *, may: bool) -> None:
    """Ticks may come in it, and a doubt too many does less harm than none."""
    assert market_word(state) == word
    assert may_trade(word) is may


def test_while_opend_has_said_nothing_nothing_is_open() -> None:
    """By OpenD's word; the calendar has its own."""
    assert not may_trade(None)

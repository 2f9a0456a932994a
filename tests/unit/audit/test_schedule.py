"""The sessions of whole and half days."""

from __future__ import annotations

import pytest
from support.scenario import clock
from support.ticks import DAY

from hk_tick_collector.audit.schedule import after_close_ms, closing_print_ms, sessions_of, traded_type
from hk_tick_collector.hktime import hk_text


def times(date_type: str | None) -> list[str]:
    """As people write them."""
    return [f"{s.name} {hk_text(s.begin_ms)[11:16]}-{hk_text(s.end_ms)[11:16]}" for s in sessions_of(DAY, date_type)]


@pytest.mark.parametrize("date_type", ["whole", "none", None, "nonsense"])
def test_a_day_that_is_not_known_to_be_half_counts_as_whole(date_type: str | None) -> None:
    """Its close is the latest, so that nothing is proven too early."""
    assert times(date_type) == [
        "pre-opening 09:00-09:30",
        "morning 09:30-12:00",
        "afternoon 13:00-16:00",
        "closing auction 16:00-16:10",
    ]


def test_a_half_day_ends_with_an_auction_at_noon() -> None:
    """On the eves of Christmas, New Year and Lunar New Year."""
    assert times("morning") == ["pre-opening 09:00-09:30", "morning 09:30-12:00", "closing auction 12:00-12:10"]


def test_an_afternoon_alone_has_an_auction_before_and_after() -> None:
    """The morning was lost to a storm."""
    assert times("afternoon")[1:] == ["afternoon 13:00-16:00", "closing auction 16:00-16:10"]


@pytest.mark.parametrize(("date_type", "close"), [("whole", 16 * 60 + 12), ("morning", 12 * 60 + 12)])
def test_two_minutes_after_the_auction_all_is_said(date_type: str, close: int) -> None:
    """The last print comes some seconds late."""
    sessions = sessions_of(DAY, date_type)
    close_ms = sessions[0].begin_ms + (close - 9 * 60) * 60_000
    assert after_close_ms(sessions) == close_ms
    assert closing_print_ms(sessions) == close_ms - 4 * 60_000, "the auction may end two minutes early"


@pytest.mark.parametrize(
    ("date_type", "last", "expected"),
    [
        ("morning", None, "morning"),
        ("morning", "12:08:31", "morning"),
        ("morning", "13:00:00", "whole"),
        ("whole", "11:00:00", "whole"),
        (None, "13:00:00", None),
    ],
)
def test_trades_after_lunch_make_a_whole_day_of_a_half_one(
    date_type: str | None, last: str | None, expected: str | None
) -> None:
    """Where calendar and trades disagree the later close counts."""
    assert traded_type(DAY, date_type, None if last is None else clock(last)) == expected

"""Which types of ticks the exchange was seen to count while a day is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scenario import ALIBABA, MEITUAN
from support.ticks import TENCENT

from hk_tick_collector.ledger.counting import ENOUGH, others, tolerance

if TYPE_CHECKING:
    from support.scenario import Scenario

ODD_LOT = 6


def agreed(scenario: Scenario) -> dict[tuple[str, int], int]:
    """By symbol and type, how often that was shown."""
    scenario.write()
    rows = scenario.query("SELECT symbol, tick_type_id, agreed FROM symbol_types WHERE agreed > 0")
    return {(symbol, tick_type): times for symbol, tick_type, times in rows}


@pytest.mark.parametrize(("of_all", "of_this", "shown"), [(0, 0, 0), (3, 0, 3), (3, 1, 2), (3, 3, 2)])
def test_one_time_of_a_symbols_own_may_be_a_coincidence(of_all: int, of_this: int, shown: int) -> None:
    """So it is not counted for itself; further times are."""
    assert others(of_all, of_this) == shown


def test_turnovers_may_differ_by_rounding() -> None:
    """A dollar, and half a thousandth for each tick."""
    assert tolerance(0) == 1.0
    assert tolerance(2000) == 2.0


def test_a_calm_moment_in_which_all_is_counted_shows_the_types_since_the_last_one(scenario: Scenario) -> None:
    """Of each symbol by itself; the second time only the types that have come since."""
    scenario.at("09:50:00")
    scenario.prove_types(1, ODD_LOT)
    shown = {(symbol, tick_type): 1 for symbol in (ALIBABA, MEITUAN) for tick_type in (1, ODD_LOT)}
    assert agreed(scenario) == shown
    scenario.prove_types(1)
    found = agreed(scenario)
    assert {key: found[key] for key in shown} == {key: 2 if key[1] == 1 else 1 for key in shown}


def test_a_type_that_is_not_counted_shows_nothing(scenario: Scenario) -> None:
    """The totals are without the odd lot."""
    scenario.at("09:50:00")
    for symbol in (ALIBABA, MEITUAN):
        scenario.trade(symbol)
        scenario.trade(symbol, 7, type=ODD_LOT, is_counted=False)
    scenario.prove_types()
    assert agreed(scenario) == {}


@pytest.mark.parametrize("disturbed", ["turnover", "moment"])
def test_another_turnover_or_a_trade_just_then_shows_nothing(scenario: Scenario, disturbed: str) -> None:
    """It must be exact, and no trade near that may or may not have been counted."""
    scenario.at("09:50:00")
    scenario.trade(ALIBABA)
    scenario.wait(0 if disturbed == "moment" else 30)
    scenario.trade(MEITUAN)
    scenario.tell(turnover_off=0.0 if disturbed == "moment" else 5.0)
    scenario.wait(20)
    scenario.tell(turnover_off=0.0 if disturbed == "moment" else 5.0)
    assert agreed(scenario) == {}


def test_what_was_shown_often_enough_is_not_counted_on(scenario: Scenario) -> None:
    """A symbol that has shown it so often tells nothing new."""
    scenario.at("09:45:00")
    for _ in range(ENOUGH + 2):
        scenario.prove_types()
    assert agreed(scenario)[ALIBABA, 1] == ENOUGH


def test_upper_bounds_wait_until_all_types_of_a_symbol_were_shown(scenario: Scenario) -> None:
    """Two others are enough; one type that nobody has shown is too little."""
    scenario.at("09:50:00")
    scenario.trade(TENCENT)
    scenario.prove_types()
    scenario.wait(30)
    scenario.tell()
    scenario.write()
    assert scenario.bounds()[-1][1] == 0
    scenario.trade(TENCENT, 7, type=ODD_LOT)
    scenario.wait(30)
    scenario.tell()
    scenario.write()
    assert scenario.bounds()[-1][1] is None

"""What time it is at the exchange: two clocks of three have to agree, and none is believed alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.scenario import SEC, volume_of
from support.ticks import TENCENT, pushes

from hk_tick_collector.clock import AGREE_MS
from hk_tick_collector.ledger.clocks import Clocks

if TYPE_CHECKING:
    from support.scenario import Scenario

NOW = 1_000_000_000
HOUR = 3600 * SEC
FIRST, SECOND = (1, 0, 0), (1, 500, 0)


@pytest.mark.parametrize(
    ("opend", "market", "exchange"),
    [
        (None, None, None),
        (0, None, NOW),
        (5 * SEC, None, NOW + 5 * SEC),
        (AGREE_MS, None, NOW + AGREE_MS),
        (AGREE_MS + 1, None, None),
        (None, -3 * SEC, NOW),
        (None, -AGREE_MS - 1, None),
        (HOUR, HOUR - SEC, NOW + HOUR),  # the host's is wrong
        (HOUR, 0, NOW),  # OpenD's is wrong
        (0, -HOUR, NOW),  # trades come late
        (HOUR, -HOUR, None),
    ],
)
def test_a_time_counts_where_two_clocks_agree(opend: int | None, market: int | None, exchange: int | None) -> None:
    """OpenD's is taken where it is one of the two, for it is asked; else the host's; and else there is no time."""
    assert Clocks(opend, market).exchange_ms(NOW) == exchange


def test_where_none_agree_each_of_them_may_be_right() -> None:
    """And where two do, no other is a candidate."""
    assert Clocks(HOUR, -HOUR).candidates(NOW) == [NOW, NOW + HOUR, NOW - HOUR]
    assert Clocks().candidates(NOW) == [NOW]
    assert Clocks(0, -HOUR).candidates(NOW) == [NOW]


def test_a_step_of_the_hosts_clock_leaves_the_others_where_they_were() -> None:
    """Their differences to it change by as much; told again after a crash, at the same place, it counts once."""
    clocks = Clocks(0, -2 * SEC)
    for _ in range(2):
        clocks.stepped(HOUR, FIRST)
        assert (clocks.opend_offset_ms, clocks.market_offset_ms) == (-HOUR, -HOUR - 2 * SEC)
    assert clocks.exchange_ms(NOW + HOUR) == NOW
    clocks.stepped(-HOUR, SECOND)
    assert clocks.exchange_ms(NOW) == NOW


def test_a_step_of_what_is_not_known_is_nothing() -> None:
    """A clock that was never read stays unknown."""
    clocks = Clocks()
    clocks.stepped(HOUR, FIRST)
    assert (clocks.opend_offset_ms, clocks.market_offset_ms) == (None, None)


def test_opends_clock_that_can_not_be_read_any_more_is_no_clock() -> None:
    """What it said before may not hold."""
    clocks = Clocks(0)
    clocks.told(None)
    assert clocks.exchange_ms(NOW) is None


@pytest.mark.parametrize("pieces", [[[-9000, -20, -400_000]], [[-9000], [-20], [-400_000]], [[-400_000], [-20, -9000]]])
def test_the_newest_trade_between_two_marks_counts_in_however_many_pieces(pieces: list[list[int]]) -> None:
    """A late one says nothing of a clock; after the next mark of the journal it begins anew."""
    clocks = Clocks(None, -5)
    for piece in pieces:
        clocks.traded(piece)
    assert clocks.market_offset_ms == -20
    clocks.traded([])
    clocks.marked()
    assert clocks.market_offset_ms == -20
    clocks.traded([-700])
    assert clocks.market_offset_ms == -700


def test_clocks_are_put_down_and_taken_up() -> None:
    """With all that matters for what comes next."""
    clocks = Clocks(7, None)
    clocks.traded([-50])
    clocks.stepped(SEC, FIRST)
    again = Clocks.of(json.loads(json.dumps(clocks.fields())))
    assert again.fields() == clocks.fields()
    again.stepped(SEC, FIRST)
    again.traded([-9999])
    assert (again.opend_offset_ms, again.market_offset_ms) == (7 - SEC, -50 - SEC)


@pytest.mark.parametrize("broken", [{}, {"opend_offset_ms": "x", "market_offset_ms": None}])
def test_what_is_no_clock_is_an_error(broken: dict[str, object]) -> None:
    """The judge tells it, and begins anew."""
    with pytest.raises((KeyError, ValueError, TypeError)):
        Clocks.of(broken)


# ---- in a journal


def exchange_times(scenario: Scenario) -> list[int | None]:
    """The exchange's time of each snapshot."""
    scenario.write()
    return [ms for (ms,) in scenario.query("SELECT exchange_ms FROM exchange_totals ORDER BY segment, offset")]


def test_live_trades_are_a_clock_and_fetched_and_late_ones_are_not(scenario: Scenario) -> None:
    """Only what OpenD calls real time is held against the host's clock."""
    scenario.hear(pushes(TENCENT, range(1, 4)))
    scenario.totals(tencent=volume_of(range(1, 4)))
    first_ms = scenario.now_ms
    scenario.wait(HOUR / SEC)
    scenario.hear(pushes(TENCENT, [4]))  # traded an hour ago: no two clocks agree any more
    scenario.totals(tencent=volume_of(range(1, 5)))
    assert exchange_times(scenario) == [first_ms, None]


def test_a_host_whose_clock_is_wrong_is_outvoted(scenario: Scenario) -> None:
    """OpenD and the trades agree on another time; when the host's is set right, all three do."""
    scenario.now_ms += HOUR
    scenario.opend_state(-HOUR)
    scenario.hear(pushes(TENCENT, range(1, 4)))
    scenario.totals(tencent=volume_of(range(1, 4)))
    first_ms = scenario.now_ms - HOUR
    scenario.step_clock(-HOUR)
    scenario.totals(tencent=volume_of(range(1, 5)))
    assert exchange_times(scenario) == [first_ms, scenario.now_ms]


def test_clocks_that_disagree_are_a_reason_and_when_they_agree_again_it_goes(scenario: Scenario) -> None:
    """The host is an hour fast, and OpenD's clock is another one."""
    scenario.opend_state(2 * HOUR)
    scenario.totals(tencent=0)
    scenario.opend_state(0)
    scenario.hear(pushes(TENCENT, [1]))
    scenario.totals(tencent=volume_of([1]))
    assert exchange_times(scenario) == [scenario.now_ms]

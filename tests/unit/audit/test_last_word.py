"""The exchange's last word: which snapshot is one, and for each that is none the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scenario import CHEUNG_KONG, SEC, Counted, Scenario, clock
from support.ticks import DAY, TENCENT, push, ticker

from hk_tick_collector.audit.day import SymbolAudit, Verdict, audit_day

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600 * SEC


@pytest.fixture
def day(scenario: Scenario) -> Scenario:
    """A day of a few trades; it is 9:51."""
    scenario.at("09:50:00")
    scenario.record_only(TENCENT)
    scenario.prove_types()
    for _ in range(3):
        scenario.trade()
    return scenario


def audited(scenario: Scenario) -> SymbolAudit:
    """What is known of the symbol."""
    scenario.write()
    return {one.symbol: one for one in audit_day(scenario.root / f"{DAY}.db").symbols}[TENCENT]


def sign_of_life(scenario: Scenario, at: str = "16:08:30") -> None:
    """Another symbol trades then."""
    scenario.at(at)
    scenario.trade(CHEUNG_KONG)


def tell(scenario: Scenario, at: str, times: int = 1) -> None:
    """The exchange tells its totals, from then on once a minute."""
    scenario.at(at)
    for _ in range(times):
        scenario.tell()
        scenario.wait(59)


def once(scenario: Scenario) -> None:
    """It is told once after the close."""
    sign_of_life(scenario)
    tell(scenario, "16:10:00")
    tell(scenario, "16:12:00")


def early(scenario: Scenario) -> None:
    """It is told a second too early, again and again."""
    sign_of_life(scenario)
    tell(scenario, "16:09:59", 2)
    tell(scenario, "16:11:59")


def frozen(scenario: Scenario) -> None:
    """The feed has stopped a moment before the auction's earliest end, and goes on answering."""
    sign_of_life(scenario, "16:07:59")
    tell(scenario, "16:12:30", 3)


def stale(scenario: Scenario) -> None:
    """The symbol's own time is before its last tick, though its volume is right."""
    scenario.counted[TENCENT] = scenario.counted[TENCENT]._replace(own_ms=clock("09:50:30"))
    sign_of_life(scenario)
    tell(scenario, "16:12:30", 3)


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        (once, "the exchange's totals were told only once after the close"),
        (early, "no snapshot of the exchange's totals after the close; the last is of 16:11:59"),
        (frozen, "the exchange's figures may have frozen: the market's newest update time is 16:07:59"),
        (stale, "the snapshot has the update time 09:50:30, and the last tick is of 09:51:16"),
    ],
)
def test_what_is_no_last_word_is_a_reason(day: Scenario, story: Callable[[Scenario], None], reason: str) -> None:
    """And what would have been one is told besides."""
    story(day)
    found = audited(day)
    assert found.verdict is Verdict.UNPROVABLE
    assert found.reasons[0][:60] == reason[:60]
    assert found.would_prove


def test_no_snapshot_is_a_reason(scenario: Scenario) -> None:
    """Contiguous ordinals do not tell what came after the last tick."""
    scenario.trade()
    found = audited(scenario)
    assert found.reasons == ("no snapshot of the exchange's totals",)
    assert found.would_prove == ("two snapshots received after 16:12:00, with two clocks that agree",)


def test_two_words_with_a_sign_of_life_are_the_last(day: Scenario) -> None:
    """To the second: after 16:12, and a life sign of 16:08:00."""
    sign_of_life(day, "16:08:00")
    tell(day, "16:12:00", 2)
    assert audited(day).verdict is Verdict.COMPLETE


def test_clocks_that_disagree_after_the_close_are_a_reason_until_they_agree(scenario: Scenario) -> None:
    """The host is an hour fast from the start and OpenD tells nothing; then OpenD's clock is read."""
    scenario.at("09:50:00")
    scenario.record_only(TENCENT)
    scenario.now_ms += HOUR
    scenario.hear(push(TENCENT, ticker(1, scenario.now_ms - HOUR, volume=100, turnover=30_000.0)))
    scenario.counted[TENCENT] = Counted(100, clock("16:08:30"))
    scenario.now_ms = clock("17:12:30")
    for _ in range(3):
        scenario.tell()
        scenario.wait(59)
    assert audited(scenario).reasons == (
        "clocks disagree: no two of the host's, OpenD's and the market's were the same",
    )
    scenario.opend_state(-HOUR)
    for _ in range(2):
        scenario.tell()
        scenario.wait(59)
    assert audited(scenario).totals_ms == scenario.now_ms - 59 * SEC - HOUR


def test_a_smaller_total_that_comes_later_never_outweighs_a_greater_one(day: Scenario) -> None:
    """It is late, or of another day."""
    sign_of_life(day)
    tell(day, "16:12:30", 2)
    for _ in range(3):
        day.tell(tencent=100)
        day.wait(59)
    found = audited(day)
    assert (found.exchange_volume, found.verdict) == (300, Verdict.COMPLETE)


def test_a_greater_total_that_comes_later_counts_once_it_was_told_twice(day: Scenario) -> None:
    """Then something is missing."""
    sign_of_life(day)
    tell(day, "16:12:30", 2)
    day.tell(tencent=500)
    assert audited(day).verdict is Verdict.UNPROVABLE
    day.wait(59)
    day.tell(tencent=500)
    assert (audited(day).verdict, audited(day).missing_volume) == (Verdict.INCOMPLETE, 200)


def test_on_a_half_day_the_close_is_at_noon_unless_it_trades_after_lunch(day: Scenario) -> None:
    """Where calendar and trades disagree the later close counts."""
    day.trade_dates({DAY: 1})
    sign_of_life(day, "12:08:30")
    tell(day, "12:12:30", 2)
    assert audited(day).verdict is Verdict.COMPLETE
    day.at("13:00:00")
    day.trade(CHEUNG_KONG)
    assert audited(day).verdict is Verdict.UNPROVABLE

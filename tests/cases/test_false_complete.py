"""Days that lack a tick although totals agree, or seem to: none of them is COMPLETE, and each is without its fault.

Six stories, each of which one equation at one moment would take for a proof:

67. A lost trade, and a cancelled one of the same size.
68. A lost trade of a type that the exchange does not count.
69. A feed that froze before the close, and repeats its totals.
70. A lost trade, and uncounted ones of the same size, on the day of a single symbol.
71. A lost trade, and one of the same size that is stored twice.
72. A lost trade that the exchange counts under an old date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.day_story import (
    ALIBABA,
    AUCTION,
    CLOSED,
    DAY,
    HSBC,
    NEXT_DAY,
    ODD_LOT,
    SYMBOLS,
    TENCENT,
    XIAOMI,
    of,
    reasons,
    verdicts,
)

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.journal.events import Cause

if TYPE_CHECKING:
    from support.day_story import Begin

COMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.UNPROVABLE


# case 67
@pytest.mark.parametrize("ordinal_step", [1, 2])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_cancelled_trade_does_not_hide_a_lost_one(begin: Begin, ordinal_step: int, *, is_lost: bool) -> None:
    """500 shares are lost, and 500 others at their price are sent again with volume 0: not COMPLETE.

    Where nothing is lost, ordinals that count each tick show it; without them a lost trade might stand for the
    cancelled one.
    """
    story = begin(ordinal_step=ordinal_step)
    story.open()
    story.trade_until("10:30:00")
    if is_lost:
        story.trade(TENCENT, 500, 400.0, lost=True)
    story.trade_until("11:00:00")
    cancelled = story.trade(TENCENT, 500, 400.0)
    story.trade_until("14:00:00")
    story.send_again(cancelled, 0)
    story.count(TENCENT, -500, -200_000.0)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    assert of(audit, TENCENT).revisions == (1, 1)
    if not is_lost and ordinal_step == 1:
        assert (audit.verdict, reasons(audit)) == (COMPLETE, {})
        return
    assert verdicts(audit) == {TENCENT: UNPROVABLE, HSBC: COMPLETE, ALIBABA: COMPLETE}
    told = of(audit, TENCENT).contradictions
    if is_lost:
        assert told[0].startswith("the totals agree with the first contents of 1 tick")
    else:
        assert [said.endswith("nothing else shows that these are counted") for said in told] == [True]


# case 68
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_lost_tick_of_a_type_that_is_not_counted_leaves_a_hole_in_ordinals(begin: Begin, *, is_lost: bool) -> None:
    """The day's only odd lot is lost; totals agree without it, and its ordinal is missing where these count."""
    story = begin(ordinal_step=1, not_counted={ODD_LOT})
    story.open()
    story.trade_until("13:30:00")
    story.burst(TENCENT, 1100)
    if is_lost:
        story.trade(TENCENT, 60, tick_type=ODD_LOT, lost=True)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert (told.volume, told.ordinals.counts) == (told.exchange_volume, True)
    if not is_lost:
        assert (audit.verdict, reasons(audit)) == (COMPLETE, {})
        return
    assert verdicts(audit) == {TENCENT: UNPROVABLE, HSBC: COMPLETE, ALIBABA: COMPLETE}
    assert told.contradictions == ("1 ordinal missing, though the totals agree",)


# case 69
@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_feed_that_froze_before_the_close_proves_nothing(begin: Begin, *, is_frozen: bool, is_told: bool) -> None:
    """After 15:30 all answers repeat the totals and update times of 15:29:52: UNPROVABLE, told or not."""
    story = begin()
    story.open()
    story.trade_until("15:29:52")
    story.quote()
    frozen = dict(story.exchange)
    story.trade_until("16:00:00", heard=not is_frozen)
    if is_frozen and is_told:
        story.to("16:05:00")
        story.resume(Cause.EXCHANGE_LOST, story.host_ms - 35 * 60_000)
        story.snapshot(frozen)
    if not is_frozen:
        story.close()
        assert story.audit().verdict is COMPLETE
        return
    story.to("16:08:10")
    for symbol in SYMBOLS:
        story.trade(symbol, 20_000, tick_type=AUCTION, lost=True)
    story.last_words(frozen)
    audit = story.audit()
    told = of(audit, TENCENT)
    assert told.volume == told.exchange_volume, "the frozen totals agree with what is stored"
    assert verdicts(audit) == dict.fromkeys(SYMBOLS, UNPROVABLE)
    assert told.reasons[0].startswith(
        "the exchange's figures may have frozen: the market's newest update time is 15:29:52"
    )
    assert bool(told.doubts) is is_told


# case 70
@pytest.mark.parametrize("is_lost", [False, True])
def test_uncounted_ticks_do_not_stand_for_a_lost_one_of_a_single_symbol(begin: Begin, *, is_lost: bool) -> None:
    """Odd lots of 60 and 40 are not counted, and a trade of 100 is lost: nobody else shows which types are counted."""
    story = begin(TENCENT, not_counted={ODD_LOT})
    story.open(auction=False)
    story.trade_until("14:00:00")
    if is_lost:
        story.trade(TENCENT, 100, 300.0, lost=True)
        story.trade(TENCENT, 60, 300.0, tick_type=ODD_LOT)
        story.trade(TENCENT, 40, 300.0, tick_type=ODD_LOT)
    story.trade_until("16:00:00")
    story.close(auction=False)
    audit = story.audit()
    told = of(audit, TENCENT)
    assert (told.volume, told.turnover) == (told.exchange_volume, told.exchange_turnover)
    if not is_lost:
        assert (audit.verdict, told.covered) == (COMPLETE, ("AUTO_MATCH",))
        return
    assert audit.verdict is UNPROVABLE
    assert told.reasons == ("not proven yet that the exchange counts ODD_LOT",)
    assert told.not_covered == ("ODD_LOT",)


# case 71
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_trade_that_is_stored_twice_does_not_stand_for_a_lost_one(begin: Begin, *, is_lost: bool) -> None:
    """One came without a sequence and again with its own; another of that volume is lost: not COMPLETE."""
    story = begin()
    story.open()
    story.trade_until("14:00:00")
    twice = story.trade(TENCENT, 700, 310.0, **({"sequence": 0} if is_lost else {}))
    if is_lost:
        twice.ticker.sequence = (story.now_ms // 1000 << 32) + 1000
        story.window(TENCENT, 5)
        story.trade(TENCENT, 700, 310.0, lost=True)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert (told.volume, told.turnover) == (told.exchange_volume, told.exchange_turnover)
    if not is_lost:
        assert (audit.verdict, reasons(audit)) == (COMPLETE, {})
        return
    assert verdicts(audit) == {TENCENT: UNPROVABLE, HSBC: COMPLETE, ALIBABA: COMPLETE}
    assert told.contradictions == ("1 ticks without a sequence of OpenD's beside others that have one",)


# case 72
@pytest.mark.parametrize("is_lost", [False, True])
def test_an_old_date_does_not_hide_todays_trade(begin: Begin, *, is_lost: bool) -> None:
    """A symbol's totals are dated yesterday, and count more than yesterday's last word: no proof of no trade."""
    story = begin(*SYMBOLS, XIAOMI)
    story.open()
    story.trade_until("16:00:00")
    story.close()
    story.to("08:50:00", NEXT_DAY)
    story.trading.remove(ALIBABA)
    yesterday = story.exchange[ALIBABA]
    story.connect(Cause.RECORDER_DOWN, story.now_ms - 60_000)
    story.pre_open()
    if is_lost:  # traded today, and told under yesterday's date
        story.exchange[ALIBABA] = yesterday._replace(volume=yesterday.volume + 5_000)
    for symbol in story.trading:
        story.quote(symbol)
    story.trade_until("16:00:00")
    story.close()
    story.market = CLOSED
    audit = story.audit(NEXT_DAY)
    told = of(audit, ALIBABA)
    assert (told.rows, verdicts(audit)[TENCENT]) == (0, COMPLETE)
    assert told.verdict is (UNPROVABLE if is_lost else COMPLETE), told.reasons
    assert audit.verdict is told.verdict
    if not is_lost:
        assert story.audit(DAY).verdict is COMPLETE

"""Doubts that stay until something decides them, and gaps that only ticks within their bounds fill.

73. Live ticks that the exchange does not count come after a loss, and sum up to it.
74. OpenD had lost the exchange, and made good none of the ticks, or not all.
75. Ordinals begin again each second, and a window happens to begin with number 1.
89. A symbol has no quota until 11:00, or is added then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.day_story import ALIBABA, HSBC, MINUTE, ODD_LOT, SEC, SYMBOLS, TENCENT, XIAOMI, of, reasons

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.day_story import Begin, DayStory

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE


def gaps(story: DayStory, symbol: str = TENCENT) -> list[tuple[Any, ...]]:
    """A symbol's gaps: cause, shares, state, and what filled them."""
    return story.query(f"SELECT cause, missing_volume, state, filled_by FROM gaps WHERE symbol = '{symbol}'")  # noqa: S608


# case 73
@pytest.mark.parametrize("comes", ["odd lots", "the tick"])
def test_a_gap_is_filled_by_its_ticks_and_by_nothing_that_is_traded_later(begin: Begin, comes: str) -> None:
    """1,000 shares are lost; 20 live odd lots of 70, which are not counted, fill nothing; the tick does."""
    story = begin(not_counted={ODD_LOT})
    story.open()
    story.trade_until("11:00:00")
    story.trade(TENCENT, 1000, lost=comes == "odd lots", unpushed=True)
    story.look()
    story.trade_until("11:20:00")
    story.write()
    assert gaps(story) == [("unknown", 1000, "open", None)]
    if comes == "odd lots":
        for _ in range(20):
            story.to(story.now_ms + SEC)
            story.trade(TENCENT, 70, tick_type=ODD_LOT)
    else:
        story.window(TENCENT, 50, purpose=Purpose.POLL)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    if comes == "odd lots":
        assert gaps(story) == [("unknown", 1000, "open", None)]
        assert of(audit, TENCENT).verdict is not COMPLETE
    else:
        assert gaps(story) == [("unknown", 1000, "filled", "poll")]
        assert (audit.verdict, reasons(audit)) == (COMPLETE, {})


# case 74
@pytest.mark.parametrize(("lost", "made_good"), [(300, 0), (80, 49), (80, 30), (20, 20), (0, 0)])
@pytest.mark.parametrize("ordinal_step", [1, 2])
def test_a_lost_exchange_is_doubted_until_ordinals_or_totals_decide(
    begin: Begin, lost: int, made_good: int, ordinal_step: int
) -> None:
    """However few ticks were made good, that proves nothing: what is missing is a gap, what is not is COMPLETE."""
    story = begin(ordinal_step=ordinal_step)
    story.open()
    story.trade_until("10:30:00")
    since_ms = story.host_ms
    missed = []
    for _ in range(lost):
        story.to(story.now_ms + SEC)
        missed.append(story.trade(TENCENT, lost=True))
    story.to("10:36:30")
    story.make_good(missed[len(missed) - made_good :])
    story.resume(Cause.EXCHANGE_LOST, since_ms)
    for symbol in SYMBOLS:
        story.window(symbol)
    story.write()
    assert [of_symbol for (of_symbol,) in story.query("SELECT symbol FROM doubts ORDER BY 1")] == sorted(SYMBOLS)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert {of(audit, symbol).verdict for symbol in (HSBC, ALIBABA)} == {COMPLETE}
    if lost == made_good:
        assert (audit.verdict, gaps(story), told.doubts) == (COMPLETE, [], 0)
        return
    assert gaps(story) == [("exchange_lost", 100 * (lost - made_good), "open", None)]
    assert (told.verdict, told.missing_volume, told.doubts) == (INCOMPLETE, 100 * (lost - made_good), 0)


# case 75
@pytest.mark.parametrize("counts", [False, True])
def test_a_first_ordinal_is_the_first_tick_only_where_ordinals_count(begin: Begin, *, counts: bool) -> None:
    """A window begins with ordinal 1, which begins again each second: the doubt about the time before stays."""
    story = begin(TENCENT, ordinal_step=1)
    story.to("10:05:00")
    for number in range(80):
        story.to(story.now_ms + SEC)
        story.trade(TENCENT, ordinal=None if counts else 1 + number % 2, unpushed=True)
    story.to("10:15:00")
    story.resume(Cause.RECORDER_DOWN)
    story.window(TENCENT)
    for number in range(80):
        story.to(story.now_ms + SEC)
        story.trade(TENCENT, ordinal=None if counts else 1 + number % 2)
    story.to(story.now_ms + MINUTE)
    story.window(TENCENT)
    story.write()
    assert story.query("SELECT min(seq) & 4294967295 FROM ticks") == [(1,)]
    assert story.query("SELECT pairs >= 50, pairs = contiguous FROM ordinals") == [(1, int(counts))]
    doubts = story.query("SELECT cause, before_seq FROM doubts")
    assert doubts == ([] if counts else [("recorder_down", None)])


# case 89
@pytest.mark.parametrize("how", ["quota", "restart", "two restarts", "was recorded"])
def test_what_was_not_subscribed_is_told_as_that(begin: Begin, how: str) -> None:
    """A symbol comes at 11:00, by quota or by a restart: what it lacks is `not_subscribed`, unless it was there."""
    story = begin(*SYMBOLS, XIAOMI)
    if "restart" in how:
        story.wanted.remove(XIAOMI)
    elif how == "quota":
        story.without = {XIAOMI: "no quota left"}
    story.connect()
    story.trading = story.given
    story.pre_open()
    story.trade_until("10:50:00")
    since_ms = story.host_ms
    for _ in range(30):
        story.to(story.now_ms + SEC)
        story.trade(XIAOMI, unpushed=True)
    story.to("11:00:00")
    story.without = {}
    story.wanted = story.trading = [*SYMBOLS, XIAOMI]
    if how == "quota":
        story.resume(Cause.NOT_SUBSCRIBED, None, [XIAOMI])
        story.window(XIAOMI, 5)
        story.recording()
        story.snapshot()
    else:
        story.connect(Cause.RECORDER_DOWN, since_ms, depth=5)
    if how == "two restarts":
        story.to("11:00:20")
        story.connect(Cause.RECORDER_DOWN, since_ms, depth=5)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    cause = "recorder_down" if how == "was recorded" else "not_subscribed"
    assert gaps(story, XIAOMI) == [(cause, 2500, "open", None)]
    ((before_seq,),) = story.query(f"SELECT before_seq FROM gaps WHERE symbol = '{XIAOMI}'")  # noqa: S608
    assert (before_seq is None) is (how != "was recorded")
    assert of(audit, XIAOMI).verdict is INCOMPLETE
    assert {of(audit, symbol).verdict for symbol in SYMBOLS} == {COMPLETE}

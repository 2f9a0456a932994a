"""Clocks that are wrong: no single one proves a day, and none that is set right spoils one.

15. The host's clock is 8 h ahead in the morning, and is then set right.
16. The host's clock jumps a week ahead.
22. The host's clock is 6 h late when the recorder connects, and is set right some seconds later.
23. OpenD's clock is 8 h ahead.
36. Before the next opening totals of nothing come under the old date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.day_story import ALIBABA, DAY, HSBC, MINUTE, NEXT_DAY, SEC, SYMBOLS, TENCENT, at, of, reasons, verdicts
from support.sealing import certificate, seal_day

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.journal.events import Cause

if TYPE_CHECKING:
    from support.day_story import Begin

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE
HOUR = 60 * MINUTE
WEEK = 7 * 24 * HOUR


def expected(*, is_lost: bool) -> dict[str, Verdict]:
    """All are whole, but the one of which a trade may be lost."""
    return {TENCENT: INCOMPLETE if is_lost else COMPLETE, HSBC: COMPLETE, ALIBABA: COMPLETE}


# case 15
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("ahead_ms", [0, 8 * HOUR])
def test_a_host_clock_that_is_ahead_in_the_morning_changes_no_verdict(
    begin: Begin, ahead_ms: int, *, is_lost: bool
) -> None:
    """By 8 h until 11:30, and then it is set right: the day is what it is with a right clock."""
    story = begin()
    story.host_ahead_ms = ahead_ms
    story.open()
    story.trade_until("10:30:00")
    story.trade(TENCENT, 1_700, lost=is_lost)
    story.look()
    story.trade_until("11:30:00")
    story.step_host_clock(0)
    story.snapshot()  # before OpenD says again what time it is
    story.trade_until("14:00:00")
    since_ms = story.host_ms
    story.to("14:05:00")
    story.connect(Cause.CONNECTION_LOST, since_ms)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    assert verdicts(audit) == expected(is_lost=is_lost), reasons(audit)
    assert story.query("SELECT max(until_ms) FROM exchange_totals") == [(at("16:42:00"),)]
    assert story.query("SELECT count(*) FROM exchange_totals WHERE exchange_ms IS NULL") == [(0,)]


# case 16
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_host_clock_that_jumps_a_week_ahead_changes_no_verdict(begin: Begin, *, is_lost: bool) -> None:
    """From 14:00 to 15:00 it says next week: all that comes is still this day's, and the day is what it is."""
    story = begin()
    story.open()
    story.trade_until("14:00:00")
    story.step_host_clock(WEEK)
    story.snapshot()  # before OpenD says again what time it is
    story.trade(TENCENT, 1_700, lost=is_lost)
    story.look()
    story.trade_until("14:30:00")
    story.connect(Cause.CONNECTION_LOST, story.host_ms - 5 * SEC)
    story.trade_until("15:00:00")
    story.step_host_clock(0)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    assert verdicts(audit) == expected(is_lost=is_lost), reasons(audit)
    assert [path.name for path in story.root.glob("*.db")] == [f"{DAY}.db"]
    assert story.query("SELECT max(until_ms) FROM exchange_totals") == [(at("16:42:00"),)]
    assert story.query("SELECT count(*) FROM exchange_totals WHERE exchange_ms IS NULL") == [(0,)]


# case 22
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize(("clock", "late_ms"), [("10:29:50", 6 * HOUR), ("15:24:50", 55 * MINUTE)])
def test_a_host_clock_that_is_set_right_after_the_connect_proves_no_close(
    begin: Begin, clock: str, late_ms: int, *, is_killed: bool
) -> None:
    """OpenD's clock was measured against the old one: a recorder that is killed a minute later has proven nothing."""
    story = begin()
    story.trade_until("15:20:00" if clock > "15" else "10:20:00", heard=True)
    story.to(clock)
    story.host_ahead_ms = -late_ms
    story.connect()
    story.to(story.now_ms + 8 * SEC)
    story.step_host_clock(0)
    for _ in range(2):
        story.to(story.now_ms + 20 * SEC)
        story.quote()
        story.snapshot()
    killed_ms = story.now_ms
    if is_killed:
        audit = story.audit()
        ((until_ms,),) = story.query("SELECT max(until_ms) FROM exchange_totals")
        assert until_ms == killed_ms
        assert set(verdicts(audit).values()) == {UNPROVABLE}
        assert {one.reasons[0][:55] for one in audit.symbols} == {
            "no snapshot of the exchange's totals after the close; t"
        }
        return
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    assert (audit.verdict, reasons(audit)) == (COMPLETE, {})


# case 23
@pytest.mark.parametrize("ahead_ms", [0, 8 * HOUR])
@pytest.mark.parametrize(
    ("afternoon", "verdict"), [("recorded", COMPLETE), ("missed", UNPROVABLE), ("missed and told", INCOMPLETE)]
)
def test_an_opend_clock_that_is_ahead_proves_no_close(
    begin: Begin, ahead_ms: int, afternoon: str, verdict: Verdict
) -> None:
    """Its morning looks like an evening: a recorder that is killed then has proven nothing; one that goes on, all."""
    story = begin()
    story.opend_ahead_ms = ahead_ms
    story.open()
    story.trade_until("12:00:00")
    killed_ms = story.host_ms
    story.write()
    assert story.query("SELECT max(until_ms) FROM exchange_totals") == [(at("11:50:45"),)]
    story.trade_until("16:00:00", heard=afternoon == "recorded")
    if afternoon == "recorded":
        story.close()
    else:
        for symbol in SYMBOLS:
            for _ in range(200):
                story.trade(symbol, lost=True)
    story.to("08:50:00", NEXT_DAY)
    if afternoon != "missed and told":
        for symbol in SYMBOLS:
            story.exchange[symbol] = story.exchange[symbol]._replace(volume=0, turnover=0.0, own_ms=None)
    story.connect(Cause.RECORDER_DOWN, killed_ms)
    for _ in range(2):
        story.to(story.now_ms + MINUTE)
        story.snapshot()
    story.write()
    seal_day(story.database())
    told = certificate(story.database())
    assert told["verdict"] == verdict, reasons(story.audit())
    assert {one["verdict"] for one in told["symbols"]} == {verdict}


# case 36
@pytest.mark.parametrize("is_lost", [False, True])
def test_totals_of_nothing_under_an_old_date_outweigh_no_last_word(begin: Begin, *, is_lost: bool) -> None:
    """Before the next opening they are 0, and then those of an auction, all dated yesterday, which is what it was."""
    story = begin()
    story.open()
    story.trade_until("16:00:00")
    story.trade(TENCENT, 1_700, lost=is_lost)
    story.close()
    yesterday = dict(story.exchange)
    story.to("08:50:00", NEXT_DAY)
    story.opend_state()
    story.resume(Cause.RECORDER_DOWN, story.host_ms - MINUTE)
    for volume in (0, 0, 500):
        story.to(story.now_ms + MINUTE)
        story.snapshot(
            {symbol: told._replace(volume=volume, turnover=300.0 * volume) for symbol, told in yesterday.items()}
        )
    audit = story.audit()
    assert story.query("SELECT count(*) FROM exchange_totals WHERE volume < 1000") == [(2 * len(SYMBOLS),)]
    assert verdicts(audit) == expected(is_lost=is_lost), reasons(audit)
    assert of(audit, TENCENT).volume == yesterday[TENCENT].volume - 1_700 * is_lost

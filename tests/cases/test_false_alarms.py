"""Days on which nothing is missing although a number says so: none is INCOMPLETE, and a real loss beside it is.

76. A snapshot is some seconds older than the pushes.
77. A snapshot after the opening still shows yesterday's row.
78. An ordinal was never given, and the totals agree.
79. A trade is sent again with more shares, as the exchange counts it.
80. The last snapshot of some symbols lacks the closing print.
84. One snapshot says that nothing was traded, or a little too little.
85. Such a snapshot comes while something is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.day_story import (
    ALIBABA,
    AUCTION,
    DAY,
    HSBC,
    NEXT_DAY,
    SEC,
    SYMBOLS,
    TENCENT,
    XIAOMI,
    of,
    reasons,
    verdicts,
)

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.repair.rebuild import derive, workplace

if TYPE_CHECKING:
    from support.day_story import Begin, Told

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE
CONCLUDED = ("gaps", "doubts", "exchange_totals", "decided", "recorded", "symbol_types")


# case 76
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize(
    ("late_sec", "hides", "took_sec"), [(5, False, 0.1), (5, True, 0.1), (40, True, 0.1), (5, False, 15)]
)
def test_a_snapshot_that_is_late_is_no_loss(
    begin: Begin, late_sec: int, took_sec: float, *, hides: bool, is_lost: bool
) -> None:
    """A snapshot shows busy symbols as they were seconds ago, under their time of then or of now: COMPLETE."""
    story = begin()
    story.open()
    story.trade_until("10:00:00")
    before: list[dict[str, Told]] = []
    for number in range(60):
        story.to(story.now_ms + SEC)
        for symbol in SYMBOLS:
            story.trade(symbol, lost=is_lost and symbol == HSBC and number == 50)
        before.append(dict(story.exchange))
    late = before[-1 - late_sec]
    assert late[TENCENT].volume == story.exchange[TENCENT].volume - 100 * late_sec
    if hides:
        late = {symbol: told._replace(own_ms=story.now_ms) for symbol, told in late.items()}
    story.snapshot(late, took_ms=round(took_sec * 1000))
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    expected = {TENCENT: COMPLETE, HSBC: INCOMPLETE if is_lost else COMPLETE, ALIBABA: COMPLETE}
    assert verdicts(audit) == expected, reasons(audit)
    assert sum(len(one.gaps) for one in audit.symbols) == int(is_lost)


# case 77
@pytest.mark.parametrize("is_lost", [False, True])
def test_yesterdays_row_after_the_opening_is_no_loss(begin: Begin, *, is_lost: bool) -> None:
    """25 s after the opening a snapshot still says what it said last night: both days are COMPLETE."""
    story = begin()
    story.open()
    story.trade_until("16:00:00")
    story.close()
    yesterday = dict(story.exchange)
    story.to("08:50:00", NEXT_DAY)
    story.connect(Cause.RECORDER_DOWN, story.host_ms - 60_000)
    story.pre_open()
    story.to("09:30:00")
    for symbol in SYMBOLS:
        story.trade(symbol, lost=is_lost and symbol == TENCENT)
    story.to("09:30:25")
    story.snapshot(yesterday)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit(NEXT_DAY)
    expected = {TENCENT: INCOMPLETE if is_lost else COMPLETE, HSBC: COMPLETE, ALIBABA: COMPLETE}
    assert verdicts(audit) == expected, reasons(audit)
    assert story.audit(DAY).verdict is COMPLETE


# case 78
@pytest.mark.parametrize("missing", ["nothing", "an ordinal", "a tick"])
def test_an_ordinal_that_was_never_given_is_a_contradiction_and_no_loss(begin: Begin, missing: str) -> None:
    """Within an outage one ordinal is left out, and the totals agree: not INCOMPLETE, unless they count it."""
    story = begin(ordinal_step=1)
    story.open()
    story.trade_until("10:00:00")
    story.burst(TENCENT, 1100)
    story.trade_until("10:40:00")
    since_ms = story.host_ms
    story.to("10:45:00")
    if missing != "nothing":
        before = story.exchange[TENCENT]
        story.trade(TENCENT, lost=True)
        if missing == "an ordinal":
            story.exchange[TENCENT] = before
    story.to("10:46:00")
    story.trade(TENCENT, unpushed=True)
    story.connect(Cause.OPEND_DOWN, since_ms)
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert told.ordinals.counts
    assert {of(audit, symbol).verdict for symbol in (HSBC, ALIBABA)} == {COMPLETE}
    assert [(gap.cause, gap.missing) for gap in told.gaps] == ([] if missing == "nothing" else [("opend_down", 1)])
    assert told.verdict is {"nothing": COMPLETE, "an ordinal": UNPROVABLE, "a tick": INCOMPLETE}[missing], told.reasons
    assert told.contradictions == (("1 ordinal missing, though the totals agree",) if missing == "an ordinal" else ())


# case 79
@pytest.mark.parametrize("counted", [300, 500])
def test_a_trade_that_is_sent_again_with_more_is_a_revision(begin: Begin, counted: int) -> None:
    """100 shares are sent again as 300, and the exchange counts 300: COMPLETE; where it counts 500, 200 are missing."""
    story = begin(ordinal_step=1)
    story.open()
    story.trade_until("11:00:00")
    story.to("11:04:00")
    revised = story.trade(TENCENT, 100, 300.0)
    story.look()
    story.to("11:06:00")
    story.send_again(revised, 300)
    story.count(TENCENT, counted - 100, 300.0 * (counted - 100))
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert (told.revisions, told.revised_volume) == ((1, 1), 200)
    if counted == 300:
        assert (audit.verdict, reasons(audit), told.gaps) == (COMPLETE, {}, ())
    else:
        assert (told.verdict, told.missing_volume) == (INCOMPLETE, 200)


# case 80
@pytest.mark.parametrize("auction", [True, False])
@pytest.mark.parametrize("is_late", [False, True])
def test_nothing_is_measured_from_a_last_word_that_is_older_than_the_last_tick(
    begin: Begin, *, is_late: bool, auction: bool
) -> None:
    """The last snapshots of three symbols lack the closing print: they prove nothing, and no type is "not counted"."""
    story = begin(*SYMBOLS, XIAOMI)
    story.open(auction=auction)
    story.trade_until("16:00:00")
    before = dict(story.exchange)
    story.to("16:08:10")
    for symbol in story.symbols:
        story.trade(symbol, 20_000, tick_type=AUCTION)
    story.last_words({**before, XIAOMI: story.exchange[XIAOMI]} if is_late else None)
    audit = story.audit()
    assert audit.not_counted == ()
    lacking = UNPROVABLE if is_late else COMPLETE
    fourth = lacking if is_late and not auction else COMPLETE  # nobody else shows that such prints are counted
    assert verdicts(audit) == {**dict.fromkeys(SYMBOLS, lacking), XIAOMI: fourth}, reasons(audit)
    if is_late:
        assert all(of(audit, s).reasons[0].endswith(", and the last tick is of 16:08:10") for s in SYMBOLS)


# case 84
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("low", ["nothing after a reconnect", "100 too few in a calm moment"])
def test_one_low_word_is_no_loss(begin: Begin, low: str, *, is_lost: bool) -> None:
    """A snapshot says volume 0, or 100 shares too few: no gap, COMPLETE, and a rebuild comes to the same."""
    story = begin()
    story.open()
    story.trade_until("10:30:00")
    story.trade(TENCENT, 1_700, lost=is_lost)
    story.look()
    story.trade_until("11:00:00")
    if low == "nothing after a reconnect":
        story.resume(Cause.CONNECTION_LOST, story.host_ms - 5 * SEC)
        for symbol in SYMBOLS:
            story.window(symbol)
        story.snapshot({symbol: told._replace(volume=0, turnover=0.0) for symbol, told in story.exchange.items()})
    else:
        story.to("11:05:00")
        story.snapshot(
            {
                symbol: told._replace(volume=told.volume - 100, turnover=told.turnover - 30_000)
                for symbol, told in story.exchange.items()
            }
        )
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit()
    expected = {TENCENT: INCOMPLETE if is_lost else COMPLETE, HSBC: COMPLETE, ALIBABA: COMPLETE}
    assert verdicts(audit) == expected, reasons(audit)
    assert [(gap.symbol, gap.missing_volume) for one in audit.symbols for gap in one.gaps] == (
        [(TENCENT, 1_700)] if is_lost else []
    )
    concluded = {table: story.query(f"SELECT * FROM {table}") for table in CONCLUDED}  # noqa: S608
    with workplace(story.root, DAY) as scratch:
        derive(story.root, DAY, scratch, lambda *_: None).path.replace(story.database())
    assert {table: story.query(f"SELECT * FROM {table}") for table in CONCLUDED} == concluded  # noqa: S608


# case 85
@pytest.mark.parametrize("low", ["at noon", "the next morning", "never"])
def test_a_low_word_fills_no_gap(begin: Begin, low: str) -> None:
    """1,700 shares are lost; a snapshot of volume 0, then or before the next opening, changes nothing about any day."""
    story = begin()
    story.open()
    story.trade_until("10:30:00")
    story.trade(TENCENT, 1_700, lost=True)
    story.look()
    story.trade_until("11:50:00")
    none = {symbol: told._replace(volume=0, turnover=0.0) for symbol, told in story.exchange.items()}
    if low == "at noon":
        story.snapshot(none)
    story.trade_until("16:00:00")
    story.close()
    if low == "the next morning":
        none = {symbol: told._replace(volume=0, turnover=0.0) for symbol, told in story.exchange.items()}
        for clock in ("08:45:00", "08:46:00", "08:47:00"):
            story.to(clock, NEXT_DAY)
            if clock == "08:45:00":
                story.opend_state()
                story.resume(Cause.CONNECTION_LOST, story.host_ms - 5 * SEC)
            story.snapshot(none)
    audit = story.audit()
    (gap,) = of(audit, TENCENT).gaps
    assert (gap.state, gap.filled_by, gap.missing_volume) == ("open", None, 1_700)
    assert verdicts(audit) == {TENCENT: INCOMPLETE, HSBC: COMPLETE, ALIBABA: COMPLETE}, reasons(audit)

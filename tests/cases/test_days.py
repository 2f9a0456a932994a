"""What a day is of: which symbols, whether it was traded at all, and that each is sealed with the verdict it deserves.

19. A security has never traded: its totals have no time.
35. Trades come on a Sunday.
81. One of four symbols is not given, over midnight.
82. OpenD loses the exchange at 13:30, and does not notice.
83. A symbol is added, and its last ticks are of days that are sealed.
90. The certificate of a day can't be made.
91. A day's file holds rows of another day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.day_story import (
    ALIBABA,
    CLOSED,
    DAY,
    HSBC,
    MINUTE,
    MORNING,
    NEXT_DAY,
    SEC,
    SYMBOLS,
    TENCENT,
    THIRD_DAY,
    XIAOMI,
    Told,
    at,
    of,
    reasons,
    verdicts,
)
from support.sealing import SILENT, certificate, seal_day
from support.ticks import DAY_MS, row, seq_at

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.due import due_days
from hk_tick_collector.store.sealed import is_sealed

if TYPE_CHECKING:
    from support.day_story import Begin, DayStory

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE
SUNDAY = "20260802"


def whole_day(story: DayStory, day: str = DAY) -> None:
    """A day of ordinary trading; the recorder has run since the day before, if there is one."""
    if day == DAY:
        story.open()
    else:
        story.to("08:50:00", day)
        story.opend_state()
        story.pre_open()
    story.trade_until("16:00:00")
    story.close()


# case 19
@pytest.mark.parametrize("no_time", ["", "0000-00-00 00:00:00", "N/A"])
@pytest.mark.parametrize("shares", [0, 100])
def test_a_security_that_has_never_traded_is_complete(begin: Begin, no_time: str, shares: int) -> None:
    """Its totals are 0 and have no time that can be read, and no tick is stored; with 100 shares that is no proof."""
    story = begin(*SYMBOLS, XIAOMI)
    story.trading.remove(XIAOMI)
    story.no_time = no_time
    story.exchange[XIAOMI] = Told(shares, 300.0 * shares, None)
    story.symbols = SYMBOLS  # the last of these is quoted
    whole_day(story)
    audit = story.audit()
    assert of(audit, XIAOMI).rows == 0
    expected = UNPROVABLE if shares else COMPLETE
    assert verdicts(audit) == {**dict.fromkeys(SYMBOLS, COMPLETE), XIAOMI: expected}, reasons(audit)


# case 35
@pytest.mark.parametrize("lost", [0, 40])
def test_trades_that_come_on_a_sunday_are_audited_as_on_any_day(begin: Begin, lost: int) -> None:
    """OpenD says that the market is open, and is away for 70 s: a doubt, and then a gap if something is missing."""
    story = begin(day=SUNDAY)
    story.open()
    story.trade_until("10:30:00")
    since_ms = story.host_ms
    for number in range(40):
        story.to(story.now_ms + SEC)
        story.trade(TENCENT, lost=number < lost)
    story.to("10:31:10")
    story.opend_state()
    story.resume(Cause.OPEND_DOWN, since_ms)
    story.write()
    assert story.query("SELECT DISTINCT cause FROM doubts WHERE resumed_ms > 0", SUNDAY) == [("opend_down",)]
    story.trade_until("16:00:00")
    story.close()
    audit = story.audit(SUNDAY)
    assert audit.trade_date in {"whole", None}
    gaps = [(gap.cause, gap.missing_volume) for gap in of(audit, TENCENT).gaps]
    assert gaps == ([("opend_down", 4_000)] if lost else [])
    expected = INCOMPLETE if lost else COMPLETE
    assert verdicts(audit) == {TENCENT: expected, HSBC: COMPLETE, ALIBABA: COMPLETE}, reasons(audit)


@pytest.mark.parametrize("is_open", [True, False])
def test_an_outage_before_the_first_tick_of_a_sunday_is_doubted_where_the_market_is_open(
    begin: Begin, *, is_open: bool
) -> None:
    """Only OpenD's word for the market tells then that something may have been traded."""
    story = begin(day=SUNDAY)
    story.connect()
    story.to("10:31:10")
    story.market = MORNING if is_open else CLOSED
    story.opend_state()
    story.resume(Cause.OPEND_DOWN, story.host_ms - 70 * SEC)
    story.to("10:32:00")
    story.trade(TENCENT)
    story.write()
    causes = story.query("SELECT DISTINCT cause FROM doubts", SUNDAY)
    assert causes == ([("opend_down",)] if is_open else [])


def test_a_sunday_without_trades_has_no_database(begin: Begin) -> None:
    """OpenD restarts, as it likes to on Sundays: nothing is doubted, and nothing is made."""
    story = begin(day=SUNDAY)
    story.connect()
    story.to("10:31:10")
    story.connect(Cause.OPEND_DOWN, story.host_ms - 70 * SEC)
    story.write()
    assert list(story.root.glob("*.db")) == []


# case 81
@pytest.mark.parametrize("is_given", [False, True])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_each_day_knows_what_it_was_to_record(begin: Begin, *, is_given: bool, is_resumed: bool) -> None:
    """OpenD refuses the fourth symbol, which is told once, and never after midnight: no day is COMPLETE without it."""
    story = begin(*SYMBOLS, XIAOMI)
    story.without = {} if is_given else {XIAOMI: "Unknown stock"}
    story.trading = story.given
    whole_day(story)
    if is_resumed:  # in the same session, which tells no more of the symbols than it has
        story.to("16:50:00")
        story.resume(Cause.EXCHANGE_LOST, story.host_ms - MINUTE)
        story.snapshot()
    whole_day(story, NEXT_DAY)
    story.write()
    for day in (DAY, NEXT_DAY):
        audit = story.audit(day)
        assert {one.symbol for one in audit.symbols if one.recorded} == {*SYMBOLS, XIAOMI}
        fourth = COMPLETE if is_given else UNPROVABLE
        assert verdicts(audit) == {**dict.fromkeys(SYMBOLS, COMPLETE), XIAOMI: fourth}, reasons(audit)
        seal_day(story.database(day))
        assert certificate(story.database(day))["verdict"] == fourth
        if not is_given:
            assert of(audit, XIAOMI).reasons == ("OpenD did not give it: Unknown stock",)


# case 82
@pytest.mark.parametrize("is_frozen", [False, True])
def test_an_exchange_that_was_lost_unnoticed_leaves_no_complete_day(begin: Begin, *, is_frozen: bool) -> None:
    """From 13:30 on OpenD repeats the totals and times of 13:29, and says that all is well: UNPROVABLE, sealed so."""
    story = begin()
    story.open()
    story.trade_until("13:29:59")
    story.quote()
    frozen = dict(story.exchange)
    if is_frozen:
        for clock in ("14:00:00", "15:00:00"):
            story.trade_until(clock, heard=False)
            story.opend_state()
            story.snapshot(frozen)
        story.trade_until("16:00:00", heard=False)
        story.last_words(frozen)
    else:
        story.trade_until("16:00:00")
        story.close()
    audit = story.audit()
    assert {of(audit, s).volume == of(audit, s).exchange_volume for s in SYMBOLS} == {True}
    assert set(verdicts(audit).values()) == {UNPROVABLE if is_frozen else COMPLETE}
    seal_day(story.database())
    assert certificate(story.database())["verdict"] == (UNPROVABLE if is_frozen else COMPLETE)


# case 83
@pytest.mark.parametrize("what", ["a new symbol", "a recorded one"])
def test_ticks_of_a_symbol_that_was_not_to_be_recorded_open_no_sealed_day(begin: Begin, what: str) -> None:
    """Its last ticks are of two sealed days, which stand as they are; a tick of a recorded one opens its day again."""
    story = begin(*SYMBOLS, XIAOMI)
    story.wanted.remove(XIAOMI)
    story.trading.remove(XIAOMI)
    for day in (DAY, NEXT_DAY):
        story.to("08:50:00", day)
        if day == DAY:
            story.connect()
        story.pre_open()
        story.trade_until("15:00:00")
        for _ in range(20):
            story.to(story.now_ms + SEC)
            story.trade(XIAOMI, unpushed=True)
        story.trade_until("16:00:00")
        story.symbols = SYMBOLS
        story.close()
        story.write()
    for day in (DAY, NEXT_DAY):
        seal_day(story.database(day))
    before = [story.database(day).read_bytes() for day in (DAY, NEXT_DAY)]
    assert {certificate(story.database(day))["verdict"] for day in (DAY, NEXT_DAY)} == {COMPLETE}
    if what == "a recorded one":
        story.trade(TENCENT, unpushed=True)
    story.to("08:50:00", THIRD_DAY)
    story.wanted.append(XIAOMI)
    story.connect(Cause.RECORDER_DOWN, story.host_ms - MINUTE)
    extra = story.write().counters.extra
    assert is_sealed(story.database(DAY))
    assert is_sealed(story.database(NEXT_DAY)) is (what == "a new symbol")
    if what == "a new symbol":
        assert extra == 40
        assert [story.database(day).read_bytes() for day in (DAY, NEXT_DAY)] == before


# case 90
@pytest.mark.parametrize(
    ("turnover", "other", "said"),
    [
        (30_000.0, TENCENT, ""),
        (1.797e308, TENCENT, "the turnover of HK.00700 is no number that can be written down: inf"),
        (1.797e308, HSBC, "the turnover of its symbols has no sum"),
    ],
)
def test_a_day_whose_certificate_cannot_be_made_keeps_no_other_from_it(
    begin: Begin, turnover: float, other: str, said: str
) -> None:
    """Two ticks of a turnover that no sum can hold: that day is told, and the two days after it are sealed."""
    story = begin()
    story.open()
    for symbol in (TENCENT, other):
        story.to(story.now_ms + SEC)
        story.trade(symbol, 100, turnover=turnover)
    story.trade_until("16:00:00")
    story.close()
    for day in (NEXT_DAY, THIRD_DAY):
        whole_day(story, day)
    story.write()
    days = due_days(story.root, SUNDAY, 0)
    assert days == [DAY, NEXT_DAY, THIRD_DAY]
    told = {one["day"]: one.get("verdict") or one["error"] for one in seal_days(story.root, days, SILENT)}
    assert {day: told[day] for day in days[1:]} == dict.fromkeys(days[1:], COMPLETE)
    assert is_sealed(story.database(DAY)) is (not said)
    if said:
        assert f"was not sealed: {said}" in told[DAY]
    else:
        assert told[DAY] == COMPLETE


# case 91
@pytest.mark.parametrize("days_off", [-1, 0, 1])
def test_a_day_with_rows_of_another_day_is_not_sealed_as_complete(begin: Begin, days_off: int) -> None:
    """All totals agree, and one of the rows was traded a day before or later: UNPROVABLE, also in the certificate."""
    story = begin()
    whole_day(story)
    story.write()
    moment_ms = at("11:00:00") + days_off * DAY_MS
    database = DayDatabase(story.database(), Pragmas())
    database.store({TENCENT: [row(TENCENT, seq_at(7, moment_ms), moment_ms, volume=0, turnover=0.0)]}, {})
    database.close()
    audit = story.audit()
    told = of(audit, TENCENT)
    assert (told.volume, told.turnover) == (told.exchange_volume, told.exchange_turnover)
    expected = UNPROVABLE if days_off else COMPLETE
    assert verdicts(audit) == {TENCENT: expected, HSBC: COMPLETE, ALIBABA: COMPLETE}, reasons(audit)
    assert ("1 tick of another day" in told.reasons) is bool(days_off)
    seal_day(story.database())
    assert certificate(story.database())["verdict"] == expected

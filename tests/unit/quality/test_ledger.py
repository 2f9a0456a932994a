"""The loss ledger as the writer keeps it, from real journals: what is concluded, and that a replay changes nothing."""

from __future__ import annotations

import json

import apsw
import pytest

CALM_MS = 15_000
from support.tale import SEC, Tale, snapshot, volume_of
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, pushes, reply, seq_at, ticker

from hk_tick_collector.day_databases import DayDatabases
from hk_tick_collector.journal import CURSOR, DIRECTORY
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.quality.judge import FILE, PAST_SNAPSHOTS
from hk_tick_collector.resumption import Cause
from hk_tick_collector.writer import Writer, WriterSettings


def outage(tale: Tale, cause: Cause = Cause.CONNECTION_LOST) -> None:
    """100 live ticks, then an outage."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    since_ms = tale.now_ms
    tale.now_ms += 20 * SEC
    tale.resume(cause, since_ms)


# ---- windows and ordinals


def test_a_window_that_reaches_back_proves(tale: Tale) -> None:
    """A doubt is there until then, with the bounds of the outage, and no gap."""
    outage(tale)
    tale.write()
    assert tale.doubts() == [(TENCENT, "connection_lost", seq_at(100))]
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(90, 120))))
    tale.write()
    assert tale.doubts() == tale.gaps() == []


def test_ordinals_tell_what_a_window_lacks(tale: Tale) -> None:
    """The gap has its bounds, its number and its evidence; a poll that brings all of it fills it."""
    outage(tale)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    tale.write()
    assert tale.doubts() == []
    assert tale.gaps() == [(TENCENT, "connection_lost", seq_at(100), seq_at(141), 40, "ordinals", "open")]
    assert tale.gaps("session, since_ms IS NOT NULL, before_ts_ms, after_ts_ms, filled_ms") == [
        ("morning", 1, OPEN_MS, OPEN_MS, None)
    ]
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(101, 140)), purpose=Purpose.AUDIT))
    tale.write()
    assert tale.gaps("state") == [("open",)]
    tale.hear(reply(TENCENT, ticker(140), purpose=Purpose.AUDIT))
    tale.write()
    assert tale.gaps("state, filled_by, filled_ms") == [("filled", "poll", tale.now_ms)]


def test_ordinals_that_do_not_count_leave_a_doubt(tale: Tale) -> None:
    """Where live pushes were not contiguous, a jump says nothing; nor does a window that does not reach back."""
    tale.hear(pushes(TENCENT, range(1, 201, 2)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(241, 300))))
    tale.write()
    assert tale.gaps() == []
    assert tale.doubts() == [(TENCENT, "connection_lost", seq_at(199))]


@pytest.mark.parametrize(("first", "is_proven"), [(1, True), (2, False)])
def test_the_first_ordinal_proves_the_days_beginning(tale: Tale, first: int, *, is_proven: bool) -> None:
    """Nothing was stored before: the window itself has to begin with the day."""
    tale.hear(pushes(HSBC, range(3)))
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(first, 50))))
    tale.write()
    assert bool(tale.doubts()) is not is_proven


def test_a_window_into_the_day_before_proves_the_days_beginning(tale: Tale) -> None:
    """Also for a symbol that has not traded today at all."""
    tale.hear(pushes(HSBC, range(3)))
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.write()  # that one has ended when the window comes
    tale.hear(reply(TENCENT, *(ticker(n, OPEN_MS - DAY_MS) for n in range(50, 60))))
    tale.write()
    assert tale.doubts() == []


@pytest.mark.parametrize(("made_good", "is_proven"), [(49, True), (50, False)])
def test_what_opend_made_good_is_counted(tale: Tale, made_good: int, *, is_proven: bool) -> None:
    """50 are the most, so there may have been more; ordinals do not count here."""
    tale.hear(pushes(TENCENT, range(1, 201, 2)))
    since_ms = tale.now_ms
    late = [ticker(n, pushDataType=2) for n in range(301, 301 + 2 * made_good, 2)]
    tale.hear(push(TENCENT, *late))
    tale.resume(Cause.EXCHANGE_LOST, since_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(101, 201, 2)), *late))
    tale.write()
    assert bool(tale.doubts()) is not is_proven


def test_what_opend_makes_good_late_fills(tale: Tale) -> None:
    """Pushes that come late fill a gap as fetched ticks do."""
    outage(tale)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(102, 150))))
    tale.hear(push(TENCENT, ticker(101, pushDataType=2)))
    tale.write()
    assert tale.gaps("missing, state, filled_by, filled_ms") == [(1, "filled", "made good", tale.now_ms)]


def test_an_outage_that_goes_on_is_one(tale: Tale) -> None:
    """Sessions that end before a tick has come add no doubt, but the gravest cause counts."""
    outage(tale)
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.write()
    assert tale.doubts() == [(TENCENT, "opend_down", seq_at(100))]


@pytest.mark.parametrize(
    ("since_ms", "at_ms", "is_doubted"),
    [
        (OPEN_MS + 6 * 3600 * SEC + 12 * 60 * SEC, OPEN_MS + 9 * 3600 * SEC, False),  # 16:12 to 19:00
        (OPEN_MS + 5 * 3600 * SEC, OPEN_MS + 9 * 3600 * SEC, True),  # 15:00 to 19:00
        (OPEN_MS + 6 * 3600 * SEC + 9 * 60 * SEC, OPEN_MS + 7 * 3600 * SEC, True),  # 16:09: the closing prints
    ],
)
def test_an_outage_after_the_close_is_no_doubt(tale: Tale, since_ms: int, at_ms: int, *, is_doubted: bool) -> None:
    """Where Hong Kong can't have traded nothing can be missing."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms = at_ms
    tale.resume(Cause.CONNECTION_LOST, since_ms)
    tale.write()
    assert bool(tale.doubts()) is is_doubted


# ---- totals


def test_a_snapshot_is_compared_at_its_very_place(tale: Tale) -> None:
    """Ticks that stand behind it in the same record are stored, and not counted."""
    before, behind = range(1, 11), range(11, 21)
    tale.hear(pushes(TENCENT, before), snapshot(OPEN_MS, tencent=volume_of(before)), pushes(TENCENT, behind))
    tale.write()
    assert tale.query("SELECT volume, our_volume, our_rows, our_last_seq, settled FROM exchange_totals") == [
        (volume_of(before), volume_of(before), 10, seq_at(10), 0)
    ]
    assert tale.query("SELECT rows FROM symbol_stats") == [(20,)]


def test_a_bad_tick_behind_a_mark_is_named_by_its_frame(tale: Tale) -> None:
    """A record is cut at its marks; where a body came from is still told by its place in the whole of it."""
    bad = push(TENCENT, ticker(5, price=float("nan")))
    tale.hear(
        pushes(TENCENT, range(2)), snapshot(OPEN_MS, tencent=0), push(TENCENT, ticker(3)), reply(HSBC, ticker(1)), bad
    )
    tale.write()
    assert tale.query("SELECT frame, place FROM bad_ticks") == [(5, 0)]


def test_totals_decide_what_nothing_else_can(tale: Tale) -> None:
    """Proven where the difference has not grown; a gap with its volume where two say the same in a calm moment.

    What had come when the totals were compared may stand before what was lost: it bounds nothing.
    """
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first) + pushes(HSBC, first))
    tale.totals(tencent=volume_of(first), hsbc=volume_of(first))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms, TENCENT, HSBC)
    tale.hear(pushes(TENCENT, [301]))
    ours = volume_of(first) + volume_of([301])
    tale.totals(tencent=ours + 700, hsbc=volume_of(first))
    tale.write()
    assert tale.doubts() == [(TENCENT, "opend_down", seq_at(199))]
    tale.totals(tencent=ours + 700, hsbc=volume_of(first))
    tale.write()
    assert tale.doubts() == []
    assert tale.gaps("cause, before_seq, after_seq, missing, missing_volume, evidence") == [
        ("opend_down", seq_at(199), None, None, 700, "totals")
    ]
    assert len(tale.query("SELECT * FROM exchange_totals WHERE symbol = 'HK.00005'")) == 1, "nothing has changed"
    tale.hear(pushes(TENCENT, [302]))
    tale.totals(tencent=ours + volume_of([302]) + 700)
    tale.write()
    assert tale.gaps("before_seq, after_seq") == [(seq_at(199), seq_at(302))]


def test_a_loss_without_an_outage_is_located_between_two_snapshots(tale: Tale) -> None:
    """By the last tick before the one that had nothing unexplained, and the first behind the one that had."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.totals(tencent=volume_of(range(1, 11)))
    tale.hear(pushes(TENCENT, [11, 13, 14]))
    tale.totals(tencent=volume_of(range(1, 15)))
    tale.now_ms += CALM_MS
    tale.hear(pushes(TENCENT, [15, 16]))
    tale.totals(tencent=volume_of(range(1, 17)))
    tale.write()
    expected = (TENCENT, "unknown", seq_at(10), seq_at(15), None, "totals")
    assert tale.gaps() == [(*expected, "open")]
    assert tale.gaps("missing_volume") == [(volume_of([12]),)]
    tale.hear(reply(TENCENT, ticker(12), purpose=Purpose.AUDIT))
    tale.totals(tencent=volume_of(range(1, 17)))
    tale.write()
    assert tale.gaps() == [(*expected, "filled")]
    assert tale.gaps("filled_by") == [("poll",)]


def test_a_gap_without_an_end_gets_one_when_a_tick_comes(tale: Tale) -> None:
    """The last trade before lunch was lost: nothing is behind it yet."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 11)))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 12)))
    tale.write()
    assert tale.gaps("before_seq, after_seq") == [(seq_at(10), None)]
    tale.hear(pushes(TENCENT, [12]))
    tale.totals(tencent=volume_of(range(1, 13)))
    tale.write()
    assert tale.gaps("before_seq, after_seq, state") == [(seq_at(10), seq_at(12), "open")]


def gap_by_ordinals(tale: Tale, last: int, traded_ms: int = OPEN_MS) -> None:
    """A cut has cost 101 and 102, the window ends with 149, and the exchange has counted up to `last`."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.totals(tencent=volume_of(range(1, 101)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n, traded_ms) for n in range(103, 150))))
    for _ in range(3):
        tale.totals(tencent=volume_of(range(1, last + 1)))
    tale.write()


def hear_one_more(tale: Tale, ordinal: int, traded_ms: int = OPEN_MS) -> None:
    """The next tick, and what the exchange has counted with it."""
    tale.hear(pushes(TENCENT, [ordinal], traded_ms))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, ordinal + 1)))
    tale.write()


def test_the_volume_of_a_gap_that_ordinals_have_shown_is_told_to_it(tale: Tale) -> None:
    """It is one loss and one gap, whoever speaks of it."""
    gap_by_ordinals(tale, last=149)
    bounds = "missing, missing_volume, evidence, before_seq, after_seq"
    assert tale.gaps(bounds) == [(2, None, "ordinals", seq_at(100), None)], "the last ticks may be missing, too"
    hear_one_more(tale, 150)
    assert tale.gaps(bounds) == [(2, volume_of([101, 102]), "ordinals", seq_at(100), seq_at(103))]


def test_a_tail_that_is_lost_behind_a_gap_by_ordinals_is_inside_until_it_is_told(tale: Tale) -> None:
    """Nothing has come behind it that ordinals could tell it by: then nobody knows where the gap ends."""
    gap_by_ordinals(tale, last=150)
    columns = "cause, before_seq, after_seq, missing, missing_volume"
    assert tale.gaps(columns) == [("connection_lost", seq_at(100), None, 2, None)]
    hear_one_more(tale, 151)
    assert tale.gaps(columns) == [
        ("connection_lost", seq_at(100), seq_at(103), 2, None),
        ("unknown", seq_at(149), seq_at(151), 1, None),
    ]


def test_a_push_that_was_lost_just_before_an_outage_is_inside(tale: Tale) -> None:
    """The totals rise by both, and nobody knows where: the gap begins where the totals were compared before."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.totals(tencent=volume_of(first))
    tale.hear(pushes(TENCENT, [203, 205]))  # and one in between never came
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.hear(pushes(TENCENT, [301]))
    for _ in range(2):
        tale.totals(tencent=volume_of(first) + volume_of([203, 205, 301]) + 800)
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing_volume") == [("recorder_down", seq_at(199), None, 800)]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (range(1205, 1211), ("unknown", seq_at(1202), seq_at(1205), 2)),
        (range(1208, 1212), ("opend_down", seq_at(1202), seq_at(1208), 4)),
    ],
)
def test_ordinals_tell_a_loss_before_an_outage_from_its_own(
    tale: Tale, window: range, expected: tuple[object, ...]
) -> None:
    """A hole before the last tick that was stored is none of the outage."""
    tale.hear(pushes(TENCENT, range(1, 1201)))
    tale.totals(tencent=volume_of(range(1, 1201)))
    tale.hear(pushes(TENCENT, [1201, 1202, 1205]))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in window)))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing") == [expected]
    assert tale.doubts() == []


def test_a_push_that_was_lost_before_any_snapshot_is_inside(tale: Tale) -> None:
    """Nothing has shown yet that the day was whole before the outage: its gap begins with the first hole."""
    tale.hear(pushes(TENCENT, range(1, 54)), pushes(TENCENT, range(55, 1301)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(1303, 1310))))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing") == [("connection_lost", seq_at(53), seq_at(1303), 3)]


def test_a_hole_that_is_known_is_not_told_twice(tale: Tale) -> None:
    """The outage behind it looks back to the last totals, and finds there what another one has lost."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.totals(tencent=volume_of(range(1, 101)))
    for first in (103, 110):
        tale.resume(Cause.OPEND_DOWN, tale.now_ms)
        tale.hear(reply(TENCENT, *(ticker(n) for n in range(first, first + 7))))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing") == [("opend_down", seq_at(100), seq_at(103), 2)]
    assert tale.doubts() == []


def test_a_push_that_was_lost_behind_a_gap_by_ordinals_is_one_of_its_own(tale: Tale) -> None:
    """The totals have not told the gap's volume yet: the ordinals say that it is not the only one."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.totals(tencent=volume_of(range(1, 101)))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(103, 110))))
    tale.totals(tencent=volume_of(range(1, 110)))
    tale.hear(pushes(TENCENT, [110, 112]))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 113)))
    tale.hear(pushes(TENCENT, [113]))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 114)))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing, missing_volume") == [
        ("opend_down", seq_at(100), seq_at(103), 2, None),
        ("unknown", seq_at(110), seq_at(112), 1, None),
    ]


def test_what_is_filled_while_more_is_lost_is_told_apart(tale: Tale) -> None:
    """A window brings a push that never came, and lacks others: the one gap is filled, the other has its own volume."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.totals(tencent=volume_of(first))
    tale.hear(pushes(TENCENT, [205]))
    for _ in range(2):
        tale.totals(tencent=volume_of([*first, 203, 205]))
    tale.hear(pushes(TENCENT, [207]))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in (203, 205, 207, 301))))
    for _ in range(2):
        tale.totals(tencent=volume_of([*first, 203, 205, 207, 301]) + 900)
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing_volume, state") == [
        ("unknown", seq_at(199), seq_at(207), volume_of([203]), "filled"),
        ("opend_down", seq_at(205), None, 900, "open"),
    ]


def test_what_comes_late_into_a_gap_by_ordinals_hides_no_other_loss(tale: Tale) -> None:
    """All in its bounds is its own, also what was traded after the snapshot that stood when it was found."""
    later_ms = OPEN_MS + 60 * SEC
    gap_by_ordinals(tale, 149, later_ms)
    hear_one_more(tale, 150, later_ms)
    tale.totals(tencent=volume_of(range(1, 152)))  # 151 has not come; nothing shows yet that it never will
    tale.hear(reply(TENCENT, *(ticker(n, later_ms) for n in (101, 102)), purpose=Purpose.AUDIT))
    hear_one_more(tale, 152, later_ms)
    hear_one_more(tale, 153, later_ms)
    assert tale.gaps("cause, before_seq, after_seq, missing_volume, state") == [
        ("connection_lost", seq_at(100), seq_at(103, later_ms), volume_of([101, 102]), "filled"),
        ("unknown", seq_at(150, later_ms), seq_at(153, later_ms), volume_of([151]), "open"),
    ]


def test_a_poll_that_was_ahead_of_the_pushes_bounds_no_outage(tale: Tale) -> None:
    """Pushes between were under way when the connection ended: a window back to the poll proves nothing."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.hear(reply(TENCENT, ticker(305), ticker(307), purpose=Purpose.AUDIT))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.hear(reply(TENCENT, ticker(305), ticker(307), ticker(309)))
    tale.write()
    assert tale.doubts() == [(TENCENT, "connection_lost", seq_at(199))]


def test_a_snapshot_ahead_of_its_ticks_explains_nothing(tale: Tale) -> None:
    """What it counted was under way, and went with the connection: the outage has it, and not nobody."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.totals(tencent=volume_of(first))
    tale.totals(tencent=volume_of(first) + 600)
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, ticker(301)))
    for _ in range(2):
        tale.totals(tencent=volume_of([*first, 301]) + 600)
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing_volume") == [("opend_down", seq_at(199), None, 600)]


def test_an_outage_that_may_have_begun_before_an_explained_loss_does_not_wait_for_it(tale: Tale) -> None:
    """OpenD says late that it had lost its exchange: the difference of before is not to come back."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.totals(tencent=volume_of(first))
    since_ms = tale.now_ms
    tale.hear(pushes(TENCENT, [205]))
    for _ in range(2):
        tale.totals(tencent=volume_of([*first, 205]) + 300)
    tale.resume(Cause.EXCHANGE_LOST, since_ms)
    tale.totals(tencent=volume_of([*first, 205]) + 300)
    tale.write()
    assert tale.gaps("cause, missing_volume") == [("unknown", 300)]
    assert tale.doubts() == []


def test_a_gap_over_two_outages_ends_behind_the_last(tale: Tale) -> None:
    """No snapshot was between them, and no tick behind them yet."""
    first = range(1, 201, 2)
    tale.hear(pushes(TENCENT, first))
    tale.totals(tencent=volume_of(first))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(pushes(TENCENT, [301]))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    for _ in range(2):
        tale.totals(tencent=volume_of([*first, 301]) + 800)
    tale.hear(pushes(TENCENT, [401]))
    tale.totals(tencent=volume_of([*first, 301, 401]) + 800)
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing_volume") == [("opend_down", seq_at(199), seq_at(401), 800)]


def test_the_end_of_a_gap_is_behind_all_that_may_be_missing(tale: Tale) -> None:
    """A tick between the two snapshots may stand before the lost one, so it bounds nothing."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.totals(tencent=volume_of(range(1, 11)))
    tale.hear(pushes(TENCENT, [11]))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 13)))
    tale.hear(pushes(TENCENT, [13]))
    tale.totals(tencent=volume_of(range(1, 14)))
    tale.write()
    assert tale.gaps("before_seq, after_seq") == [(seq_at(10), seq_at(13))]


@pytest.mark.parametrize("counted", [0, 2])
def test_a_later_loss_is_not_an_older_gaps(tale: Tale, counted: int) -> None:
    """A gap that ordinals have shown takes its volume once, or none where the totals know nothing of it."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.totals(tencent=volume_of(range(1, 101)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.hear(reply(TENCENT, ticker(103)))
    exchange = volume_of([*range(1, 101), *range(101, 101 + counted), 103])
    tale.totals(tencent=exchange)
    tale.now_ms += CALM_MS
    tale.hear(pushes(TENCENT, [104]))
    for more in (0, 0, 300, 300):
        tale.totals(tencent=exchange + volume_of([104]) + more)
    tale.write()
    volume = volume_of([101, 102]) if counted else None
    assert tale.gaps("cause, missing, missing_volume") == [("connection_lost", 2, volume), ("unknown", None, 300)]


def test_totals_of_the_day_before_are_compared_with_that_day(tale: Tale) -> None:
    """Before the opening OpenD may still tell them; a day that has no database gets none by it."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.now_ms += DAY_MS - 3600 * SEC
    tale.hear(snapshot(OPEN_MS, tencent=volume_of(range(1, 11))), snapshot(OPEN_MS + DAY_MS, tencent=5))
    tale.write()
    assert tale.query("SELECT volume - our_volume FROM exchange_totals") == [(0,)]
    assert [path.name for path in tale.root.glob("*.db")] == [f"{DAY}.db"]


# ---- no database yet


def test_an_event_makes_no_database_and_is_not_forgotten(tale: Tale) -> None:
    """A writer that ends before the day's first tick leaves word for the next; the first tick makes the doubt."""
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.write()
    assert not list(tale.root.glob("*.db"))
    assert (tale.root / DIRECTORY / FILE).exists()
    tale.hear(pushes(HSBC, range(3)))
    tale.write()
    assert tale.doubts() == [(TENCENT, "recorder_down", None)]
    tale.hear(pushes(HSBC, range(3, 6)))
    tale.write()
    assert json.loads((tale.root / DIRECTORY / FILE).read_text())["waiting"] == []


def test_a_holiday_leaves_nothing_behind(tale: Tale) -> None:
    """What waited for a tick that never came is dropped on the next day."""
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.now_ms += DAY_MS
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.write()
    told = json.loads((tale.root / DIRECTORY / FILE).read_text())
    assert [waiting[0] for waiting in told["waiting"]] == [NEXT_DAY]


def test_an_unreadable_word_for_the_next_stops_nothing(tale: Tale, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the ticks are stored."""
    (tale.root / DIRECTORY / FILE).write_text("{")
    tale.hear(pushes(HSBC, range(3)))
    tale.write()
    assert len(tale.query("SELECT * FROM ticks")) == 3
    assert "resumptions_unreadable" in capsys.readouterr().out


def test_a_gap_is_told_when_it_is_found_and_when_it_is_filled(tale: Tale, capsys: pytest.CaptureFixture[str]) -> None:
    """Once each, after the commit, with what is known of it."""
    outage(tale)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(102, 200))))
    tale.write()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "gap_found" in line]
    for field in ("missing=1", "cause=connection_lost", "evidence=ordinals", "session=morning", f"symbol={TENCENT}"):
        assert field in line
    tale.hear(reply(TENCENT, ticker(101), purpose=Purpose.AUDIT))
    tale.write()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "gap_f" in line]
    assert "gap_filled" in line
    assert "filled_by=poll" in line


# ---- over days


NEXT_TRADING_DAY_MS = 3 * DAY_MS  # Monday


def test_what_a_day_lacks_at_its_end_is_doubted_there(tale: Tale) -> None:
    """The recorder was down from Friday's morning on: Friday's database says so, not only Monday's."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.write()
    assert tale.doubts() == [(TENCENT, "recorder_down", seq_at(100))]
    assert tale.query("SELECT cause, symbols FROM outages") == [("recorder_down", 1)]
    assert tale.query("SELECT * FROM recorded") == [], "that was told on Monday, and of Monday"


def test_a_window_that_reaches_back_over_the_weekend_proves_the_end_of_friday(tale: Tale) -> None:
    """It holds Friday's last ticks, which are stored with it."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    monday = [ticker(n, OPEN_MS + NEXT_TRADING_DAY_MS) for n in range(1, 50)]
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(100, 140)), *monday))
    tale.write()
    assert tale.doubts() == tale.gaps() == []
    assert tale.query("SELECT count(*) FROM ticks") == [(139,)]


def test_a_window_that_does_not_reach_friday_proves_nothing_of_it(tale: Tale) -> None:
    """Friday's ordinals have no other end then."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.hear(reply(TENCENT, *(ticker(n, OPEN_MS + NEXT_TRADING_DAY_MS) for n in range(1, 50))))
    tale.write()
    assert tale.doubts() == [(TENCENT, "recorder_down", seq_at(100))]
    assert tale.gaps() == []


def test_a_day_whose_end_is_proven_is_not_doubted(tale: Tale) -> None:
    """The exchange had its last word after the close; the next start says nothing of that day."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += (6 * 60 + 12) * 60 * SEC
    tale.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.write()
    assert tale.doubts() == []


def test_a_sealed_day_is_not_doubted_and_none_before_it(tale: Tale) -> None:
    """What is said of the last day is said of no other, though that one can't be written to."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.hear(push(TENCENT, ticker(1, OPEN_MS + DAY_MS)))
    tale.write()
    (tale.root / f"{NEXT_DAY}.certificate.json").write_text("{}")
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.write()
    assert tale.doubts() == []


def test_an_outage_of_today_says_nothing_of_days_before(tale: Tale) -> None:
    """It is known since when."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.hear(push(TENCENT, ticker(1, OPEN_MS + NEXT_TRADING_DAY_MS)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms)
    tale.write()
    assert tale.doubts() == []
    assert tale.query("SELECT * FROM outages") == []


def test_a_snapshot_on_monday_is_fridays_last_word(tale: Tale) -> None:
    """Of a symbol that has not traded since: what is missing on Friday is found on Monday, by two of them."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.totals(tencent=volume_of(range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    for _ in range(2):
        tale.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 103)))
    tale.write()
    assert tale.doubts() == []
    assert tale.gaps("cause, before_seq, after_seq, missing_volume, state") == [
        ("recorder_down", seq_at(100), None, volume_of([101, 102]), "open")
    ]


def test_a_day_of_before_is_not_written_to_all_day(tale: Tale) -> None:
    """Only the first snapshots after a resumption are brought to it."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.now_ms += NEXT_TRADING_DAY_MS
    tale.resume(Cause.RECORDER_DOWN, None)
    for _ in range(PAST_SNAPSHOTS):
        tale.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    until_ms = tale.now_ms
    for _ in range(3):
        tale.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    tale.write()
    assert tale.query("SELECT until_ms FROM exchange_totals") == [(until_ms,)]


def test_trade_dates_are_kept_with_the_day(tale: Tale) -> None:
    """Those told before the first tick wait for it, over restarts; a day between two that is not named is none."""
    tale.trade_dates({DAY: 1, "20260803": 0})
    tale.write()
    tale.hear(pushes(TENCENT, [1]))
    tale.hear(push(TENCENT, ticker(1, OPEN_MS + DAY_MS)))
    tale.write()
    assert tale.query("SELECT * FROM trade_dates") == [(DAY, "morning")]
    assert tale.query("SELECT * FROM trade_dates", NEXT_DAY) == [(NEXT_DAY, "none")]


def test_a_snapshot_that_says_the_same_moves_its_end(tale: Tale) -> None:
    """By OpenD's clock, which a resumption tells."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms, clock_offset_ms=5 * SEC)
    tale.totals(tencent=volume_of(range(1, 11)))
    first_ms = tale.now_ms
    tale.totals(tencent=volume_of(range(1, 11)))
    tale.write()
    assert tale.query("SELECT at_ms, until_ms FROM exchange_totals") == [(first_ms, tale.now_ms + 5 * SEC)]


def test_opends_clock_is_that_of_its_last_word(tale: Tale) -> None:
    """A session lasts for weeks, and a host's clock is put right meanwhile."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms, clock_offset_ms=5 * SEC)
    tale.opend_state(clock_offset_ms=9 * SEC)
    tale.write()
    tale.totals(tencent=volume_of(range(1, 11)))
    tale.write()
    assert tale.query("SELECT until_ms FROM exchange_totals") == [(tale.now_ms + 9 * SEC,)]


# ---- a replay


def live_through(tale: Tale) -> None:
    """A bit of everything."""
    tale.resume(Cause.RECORDER_DOWN, None, TENCENT, HSBC)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(1, 5))), pushes(HSBC, range(1, 5)))
    tale.totals(tencent=volume_of(range(1, 5)), hsbc=volume_of(range(1, 5)))
    tale.hear(pushes(TENCENT, range(5, 101)))
    tale.totals(tencent=volume_of(range(1, 101)), hsbc=volume_of(range(1, 6)))
    tale.totals(tencent=volume_of(range(1, 101)), hsbc=volume_of(range(1, 6)))
    tale.resume(Cause.CONNECTION_LOST, tale.now_ms, TENCENT, HSBC)
    tale.hear(pushes(TENCENT, [160]), reply(TENCENT, *(ticker(n) for n in range(120, 161))), pushes(HSBC, [7]))
    tale.hear(pushes(TENCENT, [161]), reply(HSBC, ticker(4), ticker(7)), snapshot(OPEN_MS, tencent=99999, hsbc=7777))
    tale.totals(tencent=99999, hsbc=7777)
    tale.resume(Cause.OPEND_DOWN, tale.now_ms, TENCENT, HSBC)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(101, 120)), purpose=Purpose.AUDIT))
    tale.totals(tencent=99999, hsbc=9999)
    tale.hear(pushes(TENCENT, [170, 171]))
    for _ in range(3):
        tale.totals(tencent=99999, hsbc=9999)


def test_a_replay_over_what_is_stored_changes_nothing(tale: Tale) -> None:
    """Without its cursor a writer stores all again; what was judged is not judged by what came later."""
    live_through(tale)
    tale.write()
    before = tale.dump()
    assert len(before["gaps"]) > 2
    assert {gap[-3] for gap in before["gaps"]} == {"open", "filled"}
    for _ in range(2):
        (tale.root / DIRECTORY / CURSOR).unlink()
        tale.write()
        assert tale.dump() == before


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batches_make_no_difference(tale: Tale, batch_size: int) -> None:
    """However the journal is cut, the same is concluded: so a rebuilt day equals the recorded one."""
    live_through(tale)
    tale.write()
    whole = tale.dump()
    (tale.root / DIRECTORY / CURSOR).unlink()
    (tale.root / f"{DAY}.db").unlink()
    tale.write(batch_size=batch_size)
    assert tale.dump() == whole


def test_an_error_at_the_commit_loses_no_conclusion(tale: Tale, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is taken back, and concluded again with the ticks."""
    live_through(tale)
    writer = Writer(WriterSettings(str(tale.root)))

    def full(*_args: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("hk_tick_collector.db.DayDatabase.commit", full)
        with pytest.raises(apsw.FullError):
            writer.step()
        writer.reset()
    assert tale.query("SELECT count(*) FROM sqlite_schema WHERE name = 'gaps'") == [(1,)]
    assert tale.gaps() == []
    while writer.step():
        pass
    writer.close()
    found = tale.dump()
    (tale.root / DIRECTORY / CURSOR).unlink()
    (tale.root / f"{DAY}.db").unlink()
    tale.write()
    assert tale.dump() == found
    assert DayDatabases(tale.root, writer._pragmas).has(DAY)


def test_a_journal_that_began_anew_is_judged(tale: Tale) -> None:
    """Its places are lower than those that were judged, but its times are not."""
    outage(tale)
    tale.write()
    tale.journal.close(5)
    for path in (tale.root / DIRECTORY).iterdir():
        path.unlink()
    later = Tale(tale.root)
    later.now_ms = tale.now_ms
    later.hear(reply(TENCENT, *(ticker(n) for n in range(90, 120))))
    later.write()
    later.journal.close(5)
    assert later.doubts() == []


def test_the_first_ordinal_among_the_pushes_proves_the_days_beginning(tale: Tale) -> None:
    """What the totals find later is another outage's, and no second gap before the first trade."""
    tale.resume(Cause.RECORDER_DOWN, None)
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    for _ in range(3):
        tale.totals(tencent=volume_of(range(1, 200)))
    tale.write()
    assert tale.doubts() == []
    assert tale.gaps("cause, missing, evidence") == [("opend_down", 40, "ordinals")]

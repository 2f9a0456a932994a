"""What totals say while ticks come: nothing that is not so, whichever of the two is ahead."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import apsw
import pytest
from hk_tick_collector.quality.bounds import CALM_MS
from support.tale import SEC, Tale, snapshot, volume_of
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, push, pushes, reply, seq_at, ticker

from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.quality.ledger import Ledger
from hk_tick_collector.quality.rows import Doubt
from hk_tick_collector.resumption import Cause

if TYPE_CHECKING:
    from hk_tick_collector.batch import News

SPARSE = range(1, 201, 2)  # ordinals that count nothing


def alike(ordinal: int) -> bytes:
    """A push of 100 shares, as most are: chance makes their sums agree."""
    return push(TENCENT, ticker(ordinal, volume=100, turnover=30_000.0))


SKEWS = (-2, -1, *[0] * 6, 1, 2)  # ticks that a snapshot counts before they come, or does not count yet


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("is_lossy", [False, True])
def test_a_snapshot_ahead_or_behind_of_the_pushes_makes_no_gap(tale: Tale, seed: int, *, is_lossy: bool) -> None:
    """Trades of one size, so that chance makes sums agree, and none is calm: only what is lost is a gap."""
    random = Random(seed)
    lost = random.randrange(60, 120) if is_lossy else None
    for ordinal in range(1, 200):
        if ordinal == lost:
            tale.now_ms += SEC
        else:
            tale.hear(alike(ordinal))
        if ordinal % 5 == 0:
            tale.now_ms += 100
            tale.hear(snapshot(tale.now_ms, tencent=100 * min(199, ordinal + random.choice(SKEWS))))
    for _ in range(2):
        tale.totals(tencent=100 * 199)
    tale.write()
    gaps = tale.gaps("missing_volume, before_seq, after_seq")
    assert [volume for volume, *_ in gaps] == ([] if lost is None else [100])
    assert all((before or 0) < seq_at(lost or 0) < (after or seq_at(lost + 100)) for _, before, after in gaps)


@pytest.mark.parametrize("ahead", [100, -100])
def test_what_is_under_way_decides_nothing(tale: Tale, ahead: int) -> None:
    """Twice the same difference, and it is chance: a push came a moment after each snapshot, or a moment before it."""
    tale.hear(alike(1))
    for ordinal in (2, 3):
        tale.now_ms += 10 * SEC
        if ahead < 0:
            tale.hear(alike(ordinal))
        tale.hear(snapshot(tale.now_ms, tencent=100 * (ordinal - 1)))
        if ahead > 0:
            tale.hear(alike(ordinal))
    for _ in range(2):
        tale.totals(tencent=300)
    tale.write()
    assert tale.gaps() == []
    assert tale.query("SELECT settled FROM exchange_totals ORDER BY at_ms DESC LIMIT 1") == [(0,)]


def test_a_snapshot_behind_the_pushes_proves_nothing(tale: Tale) -> None:
    """One that lacks just as much as the outage has lost: the doubt stays until the next."""
    tale.hear(pushes(TENCENT, SPARSE))
    tale.totals(tencent=volume_of(SPARSE))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.now_ms += 10 * SEC
    tale.hear(push(TENCENT, ticker(301, volume=500)), snapshot(tale.now_ms, tencent=volume_of(SPARSE) + 500))
    tale.write()
    assert tale.doubts() == [(TENCENT, "opend_down", seq_at(199))]
    for _ in range(2):
        tale.totals(tencent=volume_of(SPARSE) + 1000)
    tale.write()
    assert tale.gaps("cause, missing_volume") == [("opend_down", 500)]


def test_a_loss_before_the_first_snapshot_is_found(tale: Tale) -> None:
    """The day begins with nothing missing: what the first ones count beyond ours is."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.hear(pushes(TENCENT, [102]))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 103)))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing_volume") == [("unknown", None, None, volume_of([101]))]


def test_a_loss_in_a_busy_symbol_ends_where_snapshots_have_shown_it(tale: Tale) -> None:
    """No moment is calm enough to say how much is missing, until noon; then it is known since when it was so much."""
    tale.hear(pushes(TENCENT, SPARSE))
    tale.totals(tencent=volume_of(SPARSE))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    come = list(SPARSE)
    for ordinal in range(301, 401, 2):
        tale.hear(pushes(TENCENT, [ordinal]))
        come.append(ordinal)
        tale.hear(snapshot(tale.now_ms, tencent=volume_of(come) + 750))
    tale.write()
    assert tale.gaps() == []
    for _ in range(2):
        tale.totals(tencent=volume_of(come) + 750)
    tale.write()
    ((cause, before_seq, after_seq, volume),) = tale.gaps("cause, before_seq, after_seq, missing_volume")
    assert (cause, before_seq, volume) == ("opend_down", seq_at(199), 750)
    assert seq_at(305) < after_seq < seq_at(305 + 2 * CALM_MS // SEC + 2), "behind the third snapshot, and a moment"


@pytest.mark.parametrize("ahead", [1, -1])
def test_snapshots_that_are_off_by_as_much_as_is_lost_later_bound_no_loss(tale: Tale, ahead: int) -> None:
    """They are ahead of the pushes, or behind, by a tick, again and again; then one tick of the same volume is lost."""
    come = 3
    tale.hear(*(alike(ordinal) for ordinal in range(1, come + 1)))
    for _ in range(2):
        tale.totals(tencent=100 * come)
    lost = 4 if ahead < 0 else 9
    for ordinal in range(4, 10):
        if ordinal == lost:
            continue
        tale.now_ms += 10 * SEC
        counted = 100 * ordinal if ahead > 0 else 100 * (ordinal - 1)
        frames = (alike(ordinal), snapshot(tale.now_ms, tencent=counted))
        tale.hear(*(frames if ahead < 0 else frames[::-1]))
    for _ in range(3):
        tale.totals(tencent=900)
    tale.hear(alike(10))
    for _ in range(2):
        tale.totals(tencent=1000)
    tale.write()
    ((before_seq, after_seq, volume),) = tale.gaps("before_seq, after_seq, missing_volume")
    assert volume == 100
    assert before_seq < seq_at(lost) < after_seq


def test_what_has_come_late_counts_once(tale: Tale) -> None:
    """A window stands before a snapshot in the same record; behind that snapshot something else is fetched."""
    tale.hear(*(alike(ordinal) for ordinal in range(1, 101, 2)))
    for _ in range(2):
        tale.totals(tencent=100 * 51)  # one has never come
    tale.hear(alike(103))
    tale.totals(tencent=100 * 52)
    late, news = (ticker(ordinal, volume=100) for ordinal in (101, 105))
    tale.now_ms += 4 * SEC
    tale.hear(reply(TENCENT, late, purpose=Purpose.AUDIT) + snapshot(tale.now_ms, tencent=100 * 52))
    tale.now_ms += 4 * SEC
    tale.hear(reply(TENCENT, news, purpose=Purpose.AUDIT))
    for _ in range(3):
        tale.totals(tencent=100 * 53)
    tale.write()
    assert tale.gaps("missing_volume, state") == [(100, "filled")]
    assert tale.query("SELECT settled FROM exchange_totals ORDER BY at_ms DESC LIMIT 1") == [(0,)]


def test_a_tick_that_an_audit_brings_was_under_way(tale: Tale) -> None:
    """It was counted, and came later than a moment: nothing else is missing."""
    tale.hear(pushes(TENCENT, SPARSE))
    tale.totals(tencent=volume_of(SPARSE))
    tale.hear(pushes(TENCENT, [303]))
    tale.now_ms += CALM_MS
    tale.totals(tencent=volume_of([*SPARSE, 301, 303]))
    tale.now_ms += CALM_MS
    tale.hear(reply(TENCENT, ticker(301), purpose=Purpose.AUDIT))
    for _ in range(3):
        tale.totals(tencent=volume_of([*SPARSE, 301, 303]))
    tale.write()
    assert tale.gaps() == []


def test_an_outage_that_closes_the_bounds_of_an_older_gap_is_told_of_its_own(tale: Tale) -> None:
    """The first tick behind the older one came after the outage: its hole is in both, and is not the older one's."""
    tale.hear(pushes(TENCENT, range(1, 1201)))
    tale.totals(tencent=volume_of(range(1, 1201)))
    for _ in range(2):
        tale.totals(tencent=volume_of(range(1, 1202)))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n, OPEN_MS + 60 * SEC) for n in range(1211, 1221))))
    tale.write()
    assert tale.gaps("cause, before_seq, after_seq, missing") == [
        ("unknown", seq_at(1200), seq_at(1211, OPEN_MS + 60 * SEC), None),
        ("opend_down", seq_at(1200), seq_at(1211, OPEN_MS + 60 * SEC), 10),
    ]


@pytest.mark.parametrize("others", [[], [203]])
def test_a_loss_while_an_audit_brings_an_older_one_is_inside_of_a_gap(tale: Tale, others: list[int]) -> None:
    """Whether the older one was the last that the totals had counted, or another had come behind it."""
    found = 201
    tale.hear(pushes(TENCENT, SPARSE), pushes(HSBC, [1]))
    tale.totals(tencent=volume_of(SPARSE))
    come = [*SPARSE, *others]
    tale.hear(pushes(TENCENT, others))
    for _ in range(2):
        tale.totals(tencent=volume_of([*come, found]))
    tale.hear(pushes(TENCENT, [207]))
    tale.hear(reply(TENCENT, ticker(found), ticker(207), purpose=Purpose.AUDIT))
    for _ in range(3):
        tale.totals(tencent=volume_of([*come, found, 205, 207]))
    tale.write()
    gaps = [
        (before, after or seq_at(300))
        for before, after, state in tale.gaps("before_seq, after_seq, state")
        if state == "open"
    ]
    assert any(before < seq_at(205) < after for before, after in gaps)


def test_a_difference_that_has_come_down_again_ends_no_loss(tale: Tale) -> None:
    """What was shown before was under way, or has been made good: this loss of the same size is behind that."""
    tale.hear(pushes(TENCENT, SPARSE))
    tale.totals(tencent=volume_of(SPARSE))
    come = list(SPARSE)
    for ordinal in range(301, 341, 2):
        if ordinal != 331:
            tale.hear(push(TENCENT, ticker(ordinal)))
            come.append(ordinal)
        is_ahead = ordinal in {307, 309, 311} or ordinal >= 331
        tale.hear(snapshot(tale.now_ms, tencent=volume_of(come) + is_ahead * volume_of([331])))
    for _ in range(2):
        tale.totals(tencent=volume_of([*come, 331]))
    tale.write()
    ((before_seq, after_seq, volume),) = tale.gaps("before_seq, after_seq, missing_volume")
    assert before_seq < seq_at(331) < (after_seq or seq_at(341))
    assert volume == volume_of([331])


def test_an_outage_around_the_days_first_tick_is_not_before_it(tale: Tale) -> None:
    """It came after the stream was proven last, and before it went on: what is behind it may be missing."""
    since_ms = tale.now_ms
    tale.hear(alike(1), push(HSBC, ticker(1)))
    tale.resume(Cause.EXCHANGE_LOST, since_ms)
    tale.hear(reply(TENCENT, *(ticker(n, volume=100) for n in range(11, 21))))
    tale.totals(tencent=2000)
    tale.write()
    assert tale.doubts() == [(TENCENT, "exchange_lost", None)]
    for _ in range(2):
        tale.totals(tencent=2000)
    tale.write()
    assert tale.gaps("cause, before_seq, missing_volume") == [("exchange_lost", None, 900)]


def test_a_tick_that_was_the_newest_when_it_was_missed_fills_its_gap(tale: Tale) -> None:
    """It is behind all that was there then; what is lost when it has come is another."""
    tale.hear(pushes(TENCENT, SPARSE))
    tale.totals(tencent=volume_of(SPARSE))
    for _ in range(2):
        tale.totals(tencent=volume_of([*SPARSE, 201]))
    late = tale.now_ms + SEC
    come = [*SPARSE, 201, 203]
    tale.hear(push(TENCENT, ticker(203, late)))
    tale.hear(reply(TENCENT, ticker(201), ticker(203, late), purpose=Purpose.AUDIT))
    tale.write()
    assert tale.gaps("missing_volume, state, filled_by") == [(volume_of([201]), "filled", "poll")]
    tale.hear(push(TENCENT, ticker(205, late)))
    tale.hear(push(TENCENT, ticker(209, late)), snapshot(tale.now_ms, tencent=volume_of([*come, 205, 207, 209])))
    for _ in range(2):
        tale.totals(tencent=volume_of([*come, 205, 207, 209]))
    tale.write()
    ((before, after, volume),) = tale.gaps("before_seq, after_seq, missing_volume")[1:]
    assert (before or 0) < seq_at(207, late) < (after or seq_at(300, late))
    assert volume == volume_of([207])


def test_snapshots_behind_the_pushes_do_not_hide_where_a_loss_begins(tale: Tale) -> None:
    """Each has not counted the last tick yet, which is as much as is lost: three with no difference show nothing."""
    for ordinal in range(1, 31):
        if ordinal == 16:
            tale.now_ms += SEC
        else:
            tale.hear(alike(ordinal))
        tale.now_ms += SEC
        tale.hear(snapshot(tale.now_ms, tencent=100 * (ordinal - 1)))
        tale.now_ms += SEC
    tale.now_ms += CALM_MS
    for _ in range(2):
        tale.totals(tencent=3000)
    tale.write()
    ((before_seq, after_seq, volume),) = tale.gaps("before_seq, after_seq, missing_volume")
    assert (before_seq or 0) < seq_at(16) < (after_seq or seq_at(31))
    assert volume == 100


def test_two_gaps_of_one_cause_that_one_snapshot_shows_are_both_kept(tale: Tale) -> None:
    """The second has a moment of its own, a millisecond later: no gap takes another's place."""
    tale.hear(pushes(TENCENT, [1]))
    tale.write()
    con = apsw.Connection(str(tale.root / f"{DAY}.db"))
    news: list[News] = []
    ledger = Ledger(con, DAY, news)
    for before in (10, 20):
        bounds = (None, "morning", seq_at(before), OPEN_MS, 0, None)
        ledger._gap(Doubt(TENCENT, 500, "unknown", *bounds), (seq_at(before + 2), OPEN_MS), 1, None, 600)
    con.close()
    assert tale.gaps("resumed_ms, before_seq, after_seq") == [
        (500, seq_at(10), seq_at(12)),
        (501, seq_at(20), seq_at(22)),
    ]
    assert len(news) == 2

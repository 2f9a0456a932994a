"""What the exchange's totals show as they come: gaps and their bounds, what fills them, doubts that are decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scenario import CHEUNG_KONG, SEC
from support.ticks import DAY, DAY_MS, HSBC, TENCENT, push, reply, ticker

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.scenario import Scenario

GAP = "cause, before_seq, after_seq, missing, missing_volume, evidence, state"


@pytest.fixture
def day(scenario: Scenario) -> Scenario:
    """Types are proven; the symbol has traded twice, half a minute ago, and that was told twice."""
    scenario.at("09:50:00")
    scenario.record_only(TENCENT)
    scenario.prove_types()
    for _ in range(2):
        scenario.trade()
    told(scenario)
    return scenario


def told(scenario: Scenario, times: int = 2, **volumes: int) -> None:
    """Snapshots, half a minute apart, with a sign of life of the market before each."""
    for _ in range(times):
        scenario.wait(30)
        scenario.trade(CHEUNG_KONG)
        scenario.tell(**volumes)
    scenario.write()


def last_seq(scenario: Scenario) -> int:
    """Of the symbol."""
    return int(scenario.query("SELECT max(seq) FROM ticks WHERE symbol = 'HK.00700'")[0][0])


def test_a_loss_is_a_gap_between_what_no_loss_was_in_and_what_was_not_counted(day: Scenario) -> None:
    """By ticks that are stored: the last that was counted before, and the first that can't have been."""
    before = last_seq(day)
    day.lose(volume=300)
    inside = day.trade()
    told(day)
    assert day.gaps(GAP) == [("unknown", before, None, None, 300, "totals", "open")]
    day.trade()
    told(day)
    assert day.gaps(GAP) == [("unknown", before, last_seq(day), None, 300, "totals", "open")]
    assert before < inside < last_seq(day)


def test_a_second_loss_is_a_gap_of_its_own(day: Scenario) -> None:
    """What is missing beyond what gaps tell already."""
    for volume in (300, 500):
        day.lose(volume=volume)
        day.trade()
        told(day, 3)
    assert day.gaps("missing_volume, state") == [(300, "open"), (500, "open")]


def lose_by_ordinals(scenario: Scenario) -> None:
    """Ordinals count, and an outage costs 300 shares in two trades; then ordinals begin to jump, and count no more."""
    for _ in range(60):
        scenario.trade()
    told(scenario)
    since_ms = scenario.now_ms
    scenario.lose()
    scenario.lose(volume=200)
    scenario.resume(Cause.OPEND_DOWN, since_ms)
    scenario.hear(reply(TENCENT, *(scenario.made() for _ in range(3))))
    scenario.write()
    assert scenario.gaps("cause, missing, missing_volume, evidence") == [("opend_down", 2, None, "ordinals")]
    for _ in range(3):
        scenario.ordinals[TENCENT] += 5
        scenario.trade()
    scenario.write()


def test_a_loss_after_one_by_ordinals_is_told_by_totals_once_these_have_bounded_the_first(day: Scenario) -> None:
    """Two snapshots show what was missing at most by then; what is missing beyond that is another loss."""
    lose_by_ordinals(day)
    before = last_seq(day)
    told(day, 3)
    day.lose(volume=500)
    day.trade()
    told(day, 3)
    gaps = day.gaps("before_seq, missing, missing_volume, evidence")
    assert [gap[1:] for gap in gaps] == [(2, None, "ordinals"), (None, 500, "totals")]
    assert gaps[1][0] == before
    told(day, 3)
    assert len(day.gaps()) == 2


def test_a_loss_before_the_first_is_bounded_may_be_part_of_it(day: Scenario) -> None:
    """It is no gap of its own, and what is doubted stays in doubt."""
    lose_by_ordinals(day)
    since_ms = day.now_ms
    day.lose(volume=500)
    day.resume(Cause.CONNECTION_LOST, since_ms)
    day.trade()
    told(day, 4)
    assert day.gaps("missing, missing_volume, evidence") == [(2, None, "ordinals")]
    assert [cause for _, cause, _ in day.doubts()] == ["connection_lost"]


def test_a_doubt_is_dropped_once_all_that_is_missing_was_missing_before_it(day: Scenario) -> None:
    """An earlier snapshot shows as much to be missing, of what is stored now."""
    lose_by_ordinals(day)
    told(day, 3)
    day.trade()
    day.resume(Cause.CONNECTION_LOST, day.now_ms)
    day.trade()
    day.write()
    assert [cause for _, cause, _ in day.doubts()] == ["connection_lost"]
    told(day, 3)
    assert day.doubts() == []
    assert day.query("SELECT cause, decided_by FROM decided") == [("connection_lost", "totals")]


def test_what_comes_from_before_an_outage_does_not_hide_what_was_lost_in_it(day: Scenario) -> None:
    """As many shares have come of an older loss as were lost: as much is missing as there was, and not the same."""
    lose_by_ordinals(day)
    lost = day.lose(volume=200)
    day.trade()
    told(day, 3)
    day.trade()
    day.lose(volume=200)
    day.resume(Cause.CONNECTION_LOST, day.now_ms)
    day.trade()
    day.hear(reply(TENCENT, lost, purpose=Purpose.POLL))
    told(day, 4)
    assert [cause for _, cause, _ in day.doubts()] == ["connection_lost"]


@pytest.mark.parametrize("is_before", [True, False])
def test_a_loss_that_is_seen_before_the_stream_resumes_is_of_that_cause(day: Scenario, *, is_before: bool) -> None:
    """It may begin after the snapshot, too: what was under way is lost with the connection.

    A snapshot counts trades whose pushes have not come yet; by the time that the loss is told the cause is known.
    """
    since_ms = day.now_ms
    day.lose(volume=300)
    day.wait(10)
    day.tell()
    if not is_before:
        since_ms = day.now_ms + 2 * SEC
    day.lose(volume=50)
    day.wait(1)
    day.resume(Cause.JOURNAL_FULL, since_ms)
    day.trade()
    told(day, 3)
    assert [(cause, volume) for cause, volume in day.gaps("cause, missing_volume") if volume] == [
        ("journal_full", 300),
        ("journal_full", 50),
    ]
    assert day.doubts() == []


def test_a_doubt_from_before_the_first_is_bounded_is_not_decided_by_what_is_lost_later(day: Scenario) -> None:
    """Only an outage in which the later loss can be is."""
    lose_by_ordinals(day)
    day.resume(Cause.CONNECTION_LOST, day.now_ms)
    day.trade()
    told(day, 4)
    since_ms = day.now_ms
    day.lose(volume=700)
    day.resume(Cause.KICKED_OUT, since_ms)
    day.trade()
    told(day, 3)
    assert day.gaps("cause, missing_volume, evidence") == [
        ("opend_down", None, "ordinals"),
        ("kicked_out", 700, "totals"),
    ]
    assert [cause for _, cause, _ in day.doubts()] == ["connection_lost"]


def test_a_loss_in_an_outage_is_of_its_cause_and_decides_the_doubt(day: Scenario) -> None:
    """Of several doubts the gravest."""
    since_ms = day.now_ms
    day.lose()
    day.resume(Cause.CONNECTION_LOST, since_ms)
    day.trade()
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    told(day)
    assert day.doubts() == []
    assert day.gaps("cause, missing_volume, since_ms") == [("opend_down", 100, since_ms)]
    assert day.query("SELECT * FROM decided") == []


def test_the_rest_of_a_loss_that_was_told_in_part_has_its_cause(day: Scenario) -> None:
    """A trade that the first snapshot may have counted hides a part, which comes to light when the doubt is decided."""
    day.lose(volume=500)
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    day.trade(CHEUNG_KONG)
    day.tell()
    day.trade(volume=300)
    told(day, 1)
    assert day.gaps("cause, missing_volume") == [("opend_down", 200)]
    assert day.doubts() == []
    told(day, 3)
    assert day.gaps("cause, missing_volume") == [("opend_down", 200), ("opend_down", 300)]
    assert day.doubts() == []


def test_a_loss_after_all_of_another_was_told_is_not_of_its_cause(day: Scenario) -> None:
    """Two snapshots have shown since that no more is missing."""
    day.lose(volume=500)
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    day.trade()
    told(day, 4)
    day.lose(volume=700)
    day.trade()
    told(day, 3)
    assert day.gaps("cause, missing_volume") == [("opend_down", 500), ("unknown", 700)]


def test_two_snapshots_decide_a_doubt_in_which_nothing_is_missing(day: Scenario) -> None:
    """One is no word; that nothing else has decided it is kept."""
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    resumed_ms = day.now_ms
    told(day, 1)
    assert len(day.doubts()) == 1
    told(day, 2)
    assert day.doubts() == []
    assert day.query("SELECT symbol, resumed_ms, cause, decided_by FROM decided") == [
        (TENCENT, resumed_ms, "opend_down", "totals")
    ]


def test_a_doubt_is_never_decided_by_waiting(day: Scenario) -> None:
    """A frozen feed tells the same totals again and again: nobody has traded since, so it shows nothing."""
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    for _ in range(5):
        day.wait(60)
        day.tell()
    day.write()
    assert len(day.doubts()) == 1


def test_a_doubt_with_a_type_that_nobody_has_proven_stays(day: Scenario) -> None:
    """A lost tick may stand for one that is not counted."""
    day.trade(type=6, is_counted=False)
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    day.lose()
    told(day, 3)
    assert (len(day.doubts()), day.gaps()) == (1, [])


@pytest.mark.parametrize("purpose", [Purpose.POLL, Purpose.BACKFILL])
def test_a_gap_is_filled_by_as_much_as_is_missing_and_two_snapshots(day: Scenario, purpose: Purpose) -> None:
    """The tick alone does not fill it, since it tells what is missing at least; nor does less of it."""
    first, second = day.lose(), day.lose()
    day.trade()
    told(day)
    day.trade()
    day.hear(reply(TENCENT, first, purpose=purpose))
    told(day, 3)
    assert day.gaps("missing_volume, state") == [(200, "open")]
    day.hear(reply(TENCENT, second, purpose=purpose))
    day.write()
    assert day.gaps("state") == [("open",)]
    came_ms = day.now_ms
    told(day, 2)
    filled_by = "poll" if purpose is Purpose.POLL else "backfill"
    assert day.gaps("state, filled_by, filled_ms") == [("filled", filled_by, came_ms)]


def test_what_comes_elsewhere_fills_no_gap(day: Scenario) -> None:
    """As many shares, but traded after its bounds; the loss is still there."""
    day.lose()
    day.trade()
    told(day)
    day.trade()
    told(day)
    late = day.made()
    day.hear(reply(TENCENT, late, purpose=Purpose.POLL))
    told(day, 3)
    assert day.gaps("missing_volume, state") == [(100, "open")]


def test_a_revision_counts_towards_a_gap_and_nothing_is_proven_missing(day: Scenario) -> None:
    """Nobody knows which of its contents the exchange counts, so the gap stays open, with nothing left in it."""
    made = day.made(volume=400)
    day.hear(push(TENCENT, ticker(made.sequence & 0xFFFFFFFF, day.now_ms + SEC, volume=100, turnover=30_000.0)))
    told(day)
    day.trade()
    told(day)
    assert day.gaps("missing_volume, state") == [(300, "open")]
    day.hear(push(TENCENT, made))
    told(day, 3)
    assert day.gaps("missing_volume, state") == [(300, "open")]
    day.close()
    day.write()
    found = {one.symbol: one for one in audit_day(day.root / f"{DAY}.db").symbols}[TENCENT]
    assert (found.verdict, found.missing_volume, found.revised_volume) == (Verdict.UNPROVABLE, None, 300)


@pytest.mark.parametrize("absurd", [0, 100])
def test_an_absurdly_low_snapshot_makes_no_loss_and_decides_nothing(day: Scenario, absurd: int) -> None:
    """What is missing never falls by itself, and a greater total that follows is no loss."""
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    told(day, 4, tencent=absurd)
    assert (day.gaps(), len(day.doubts())) == ([], 1)
    told(day, 3)
    assert (day.gaps(), day.doubts()) == ([], [])


def test_two_snapshots_below_what_is_stored_are_counted(day: Scenario) -> None:
    """They speak against totals that agree at last."""
    told(day, 3, tencent=100)
    told(day, 2)
    assert [most for _, most in day.bounds() if most is not None and most < 0]


def test_a_snapshot_that_says_the_same_prolongs_the_one_before(day: Scenario) -> None:
    """With the time of the last but one, and the newest sign of life."""
    told(day, 3)
    ((count, until_ms, confirmed_ms, market_ms),) = day.query(
        "SELECT count(*), max(until_ms), max(confirmed_ms), max(market_ms) FROM exchange_totals "
        "WHERE symbol = 'HK.00700'"
    )
    assert count == 1
    assert (until_ms, confirmed_ms, market_ms) == (day.now_ms, day.now_ms - 32 * SEC, day.now_ms - SEC)


def test_a_symbol_without_times_in_its_sequences_is_bounded_in_calm_moments_alone(day: Scenario) -> None:
    """Its ticks can't be told apart by when they were traded."""
    made = day.made(HSBC, sequence=5)
    day.hear(push(HSBC, made))
    told(day, 3)
    assert day.bounds(HSBC)[-1] == (0, 0)
    day.hear(push(HSBC, day.made(HSBC, sequence=6)))
    told(day, 1)
    assert day.bounds(HSBC)[-1][1] is None


def test_a_snapshot_on_monday_is_fridays_last_word(day: Scenario) -> None:
    """Of a symbol that has not traded since: what is missing on Friday is found on Monday."""
    day.lose(volume=700)
    own = dict(day.counted)
    day.now_ms += 3 * DAY_MS
    day.resume(Cause.RECORDER_DOWN, None)
    assert day.counted == own
    for _ in range(3):
        day.wait(30)
        day.tell()
    day.write()
    assert day.doubts() == []
    assert day.gaps("cause, missing_volume, state") == [("recorder_down", 700, "open")]

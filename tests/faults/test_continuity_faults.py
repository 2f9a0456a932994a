"""No silent loss: what is not stored is inside a gap of the ledger with its cause; where nothing is lost is no gap."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.bench import faults_of
from support.calm import show_types
from support.fault_rig import SYMBOLS, FaultRig
from support.recorder_process import until
from support.sizes import drawn

from hk_tick_collector.journal.events import Cause, gravest

if TYPE_CHECKING:
    from support.gap_row import GapRow

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
ORDINALS = ["contiguous", "sparse", "none"]


def check(rig: FaultRig, gaps: list[GapRow], cause: str, session: str = "morning") -> None:
    """Each gap has that cause, or the graver one of a beginning in which the loss may be as well; so has each doubt.

    That gaps tell together what is lost, to the tick or the share, is seen by `settle`.
    """
    lost = rig.lost()
    ledger = rig.sim.ledger()
    begun = {doubt.symbol: doubt for doubt in rig.beginning}
    for gap in gaps:
        inside = [key for key in lost if gap.covers(key)]
        if gap.symbol in begun:
            assert (gap.cause, gap.session) == (gravest(Cause(cause), Cause.RECORDER_DOWN), "pre-opening"), gap
        else:
            assert (gap.cause, gap.session) == (cause, session), gap
            assert gap.before_seq is not None or session == "pre-opening", gap
        assert gap.state == "open"
        assert gap.missing in {None, len(inside)}, gap
        assert (gap.missing_volume or 0) <= sum(ledger.ticks[key].volume for key in inside), gap
    assert {doubt.cause for doubt in rig.doubts() - rig.beginning} <= {cause}


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_cut_within_the_cache_leaves_no_gap(rig: FaultRig, ordinals: str) -> None:
    """The window reaches back to what was stored: nothing is missing, whatever the ordinals are."""
    rig.begin("--ordinals", ordinals)
    for _ in range(2):
        connects = len(rig.recorder.log_lines("backfill_done"))
        assert rig.sim.command("cut", mid_frame=True)["n"] == 1
        rig.recorder.wait_for("backfill_done", connects + 1)
        until(lambda: rig.doubts() == rig.beginning, lambda: f"the window decides: {rig.doubts()}")
    assert rig.settle() == []
    assert not rig.lost()
    assert rig.doubts() == rig.beginning


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_beyond_the_cache_is_a_gap(rig: FaultRig, ordinals: str) -> None:
    """A symbol that trades 1,500 times while OpenD can't be reached lacks 500, between bounds that tell where."""
    rig.begin("--ordinals", ordinals)
    assert rig.sim.command("refuse", sec=1.5)["n"] == 1
    rig.sim.command("burst", ticks=1500, symbols=[BUSIEST])
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    assert len(rig.lost()) >= 500
    check(rig, gaps, "opend_down")
    assert {gap.evidence for gap in gaps} == {"ordinals" if ordinals == "contiguous" else "totals"}


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_restart_with_an_empty_cache_is_a_gap(rig: FaultRig, ordinals: str) -> None:
    """What was traded while OpenD restarted is inside a gap of each symbol."""
    rig.begin("--ordinals", ordinals)
    assert rig.sim.command("restart", sec=1.5)["n"] == 1
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert set(rig.sim.ledger().unreachable.values()) == {"restart"}
    assert {gap.symbol for gap in gaps} == set(SYMBOLS)
    check(rig, gaps, "opend_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_opend_that_was_down_with_its_cache_kept_is_a_gap(rig: FaultRig, ordinals: str) -> None:
    """A window that reaches back is no proof where OpenD itself did not hear: the hole is in its memory."""
    rig.begin("--ordinals", ordinals)
    assert rig.sim.command("refuse", sec=1.5, keep_cache=False)["n"] == 1
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert set(rig.sim.ledger().unreachable.values()) == {"down"}
    assert {gap.symbol for gap in gaps} == set(SYMBOLS)
    check(rig, gaps, "opend_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_of_the_exchange_beyond_50_is_a_gap(rig: FaultRig, ordinals: str) -> None:
    """OpenD makes good 50 of a symbol: the busiest has a gap, the others none."""
    rig.begin("--ordinals", ordinals, rate=10)
    assert rig.sim.command("outage", sec=2)["n"] == 1
    rig.sim.command("burst", ticks=300, symbols=[BUSIEST])
    until(lambda: bool(faults_of(rig.sim, "outage_over")), "the exchange is back")
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert set(rig.sim.ledger().unreachable.values()) == {"upstream"}
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    check(rig, gaps, "exchange_lost")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_of_the_exchange_within_50_leaves_no_gap(rig: FaultRig, ordinals: str) -> None:
    """Fewer than 50 were made good: that was all, as ordinals or totals tell; else it stays in doubt."""
    rig.begin("--ordinals", ordinals, rate=10)
    assert rig.sim.command("outage", sec=2)["n"] == 1
    rig.sim.command("burst", ticks=20, symbols=[BUSIEST])
    until(lambda: bool(faults_of(rig.sim, "outage_over")), "the exchange is back")
    rig.recorder.wait_for("backfill_done", 2)
    assert rig.settle() == []
    assert not rig.lost()
    check(rig, [], "exchange_lost")
    doubted = {doubt.symbol for doubt in rig.doubts() - rig.beginning}
    assert doubted == (set() if rig.is_timely else set(SYMBOLS))  # no window proves it, and totals do not decide it


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_being_kicked_out_for_more_than_the_cache_is_a_gap(rig: FaultRig, ordinals: str) -> None:
    """What has left OpenD's memory before the right came back is lost, and the cause is the other login."""
    rig.begin("--ordinals", ordinals)
    assert rig.sim.command("kick", sec=2)["n"] == 1
    rig.sim.command("burst", ticks=1400, symbols=[BUSIEST])
    until(lambda: bool(faults_of(rig.sim, "kick_over")), "the right is back")
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    assert len(rig.lost()) >= 400
    check(rig, gaps, "kicked_out")


@pytest.mark.parametrize("burst", [500, 1500])
@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_recorder_that_was_down_knows_what_it_missed(rig: FaultRig, ordinals: str, burst: int) -> None:
    """Killed and started again: within the cache nothing is missing, beyond it there is a gap."""
    rig.begin("--ordinals", ordinals)
    rig.recorder.kill_all()
    rig.sim.command("burst", ticks=burst, symbols=[BUSIEST])
    rig.recorder.start()
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert {gap.symbol for gap in gaps} == ({BUSIEST} if burst > 1000 else set())
    check(rig, gaps, "recorder_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_single_pushes_that_never_came_are_found_by_the_totals(rig: FaultRig, ordinals: str) -> None:
    """With audits off and no outage, the exchange's volume goes ahead of ours, and stays there."""
    rig.begin("--ordinals", ordinals)
    assert rig.sim.command("lose", n=4)["n"] == 4
    gaps = rig.settle()
    assert len(rig.lost()) == 4
    assert {gap.evidence for gap in gaps} == {"totals"}
    check(rig, gaps, "unknown")


def test_a_gap_that_is_filled_later_says_so(rig: FaultRig) -> None:
    """The backfill after a cut brings what pushes had missed: the gap stays in the ledger, filled, and by what."""
    rig.begin()
    assert rig.sim.command("lose", n=4)["n"] == 4
    rig.tell()
    found = rig.gaps()
    assert found
    assert {gap.state for gap in found} == {"open"}
    assert len(rig.lost()) == 4
    assert rig.sim.command("cut")["n"] == 1
    rig.recorder.wait_for("backfill_done", 2)
    gaps = rig.settle()
    assert not rig.lost()
    assert [gap._replace(state="open", after_seq=None) for gap in gaps] == [
        gap._replace(after_seq=None) for gap in found
    ]
    assert {gap.state for gap in gaps} == {"filled"}
    assert set(rig.recorder.query("SELECT filled_by FROM gaps")) == {("backfill",)}
    assert all(ms is not None for (ms,) in rig.recorder.query("SELECT filled_ms FROM gaps"))


def test_what_a_symbol_misses_before_it_is_subscribed_is_a_gap(rig: FaultRig) -> None:
    """There was no quota for it: what was traded until there was, and has left OpenD's memory, has that cause."""
    last = SYMBOLS[-1]
    rig.clock.jump_to("2026-11-20 08:00:00")
    rig.launch("--quota", str(len(SYMBOLS) - 1), rate=20)
    rig.sim.command("pause")
    assert rig.recorder.log_lines("futu_subscribed")[0].fields["left_out"] == "1"
    rig.clock.jump_to("2026-11-20 10:00:00")
    rig.sim.command("resume")
    rig.sim.command("burst", ticks=1500, symbols=[last])
    rig.sim.command("quota", n=len(SYMBOLS))
    rig.recorder.wait_for("backfill_done", 2)
    for _ in range(2):  # the other two show which types are counted
        show_types(rig.clock, rig.sim, SYMBOLS)
        rig.calm(last)
    gaps = rig.settle()
    assert len(rig.lost()) >= 500
    assert {gap.symbol for gap in gaps} == {last}
    check(rig, gaps, "not_subscribed", "pre-opening")


CAUSES = {
    "cut": Cause.CONNECTION_LOST,
    "refuse": Cause.OPEND_DOWN,
    "down": Cause.OPEND_DOWN,
    "restart": Cause.OPEND_DOWN,
    "outage": Cause.EXCHANGE_LOST,
    "kick": Cause.KICKED_OUT,
    "lose": Cause.UNKNOWN,
    "kill": Cause.RECORDER_DOWN,
}


def mixture(rig: FaultRig, random: Random) -> Cause:
    """A fault of any kind, in its full length, with or without a burst in it; what it is the cause of."""
    kind = random.choice(list(CAUSES))
    ticks = random.choice([0, 30, 300, 1400])
    backfills = len(rig.recorder.log_lines("backfill_done"))
    if kind == "kill":
        rig.recorder.kill_all()
    elif kind == "lose":
        assert rig.sim.command("lose", n=3)["n"] == 3
        return CAUSES[kind]
    elif kind == "cut":
        assert rig.sim.command("cut")["n"] == 1
    else:
        fault, options = {"down": ("refuse", {"keep_cache": False})}.get(kind, (kind, {}))
        assert rig.sim.command(fault, sec=round(random.uniform(0.5, 1.5), 1), **options)["n"] == 1
    if ticks:
        rig.sim.command("burst", ticks=ticks, symbols=[BUSIEST])
    if kind == "kill":
        rig.recorder.start()
    rig.recorder.wait_for("backfill_done", backfills + 1)
    until(lambda: not rig.sim.stats()["faults"], "the fault is over")
    return CAUSES[kind]


@pytest.mark.parametrize("seed", range(drawn(6)))
def test_whatever_happens_nothing_is_lost_in_silence(rig: FaultRig, seed: int) -> None:
    """Faults by a seed, one after the other: each lost tick is inside a gap, each open gap has a loss in it.

    No gap and no doubt is of a cause that was not there, and the journal tells the same again.
    """
    random = Random(seed)
    rig.begin("--ordinals", ORDINALS[seed % 3], rate=40)
    causes = {Cause(doubt.cause) for doubt in rig.beginning}
    for _ in range(5):
        causes.add(mixture(rig, random))
        time.sleep(random.uniform(0, 2))  # so that some come before the one before is decided
    gaps = rig.settle()
    assert {Cause(one.cause) for one in (*gaps, *rig.doubts())} <= causes
    tables = {name: rig.recorder.query(f"SELECT * FROM {name}") for name in ("gaps", "doubts", "exchange_totals")}  # noqa: S608
    rig.derive()
    assert rig.gaps() == gaps
    assert tables == {name: rig.recorder.query(f"SELECT * FROM {name}") for name in tables}  # noqa: S608

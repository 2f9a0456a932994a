"""What can go wrong on the connection: each fault really happens, and every tick is stored all the same."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import faults_of
from support.recorder_process import until

if TYPE_CHECKING:
    from support.bench import Bench

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
CACHE_MAX = 1000  # of a symbol: what GetTicker reaches
NEVER_AUDIT: dict[str, Any] = {"FUTU_POLL_ENABLED": "false"}


@pytest.mark.parametrize(
    ("command", "options", "reason"),
    [
        ("cut", {}, "connection"),
        ("cut", {"mid_frame": True}, "in the middle of a frame"),
        ("cut", {"mid_frame": True, "at": 7}, "in the middle of a frame, after 7 bytes"),
        ("garbage", {"bytes": 5000}, "protocol error: a frame begins with"),
        ("garbage", {"bytes": 1}, "protocol error: a frame begins with"),
        ("bad_hash", {}, "SHA-1 does not match"),
        ("oversize", {}, "claims a body of 2147483647 bytes"),
    ],
)
def test_a_broken_connection_is_made_anew(bench: Bench, command: str, options: dict[str, int], reason: str) -> None:
    """After a cut or a broken stream the recorder says why, comes back, and fetches what went by."""
    sim = bench.simulate()
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command(command, **options)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    assert reason in recorder.wait_for("futu_disconnected")[0].fields["reason"]
    assert len(faults_of(sim, command)) == 1
    bench.settle_whole(sim, recorder)


def test_opend_that_is_gone_for_seconds_is_waited_for(bench: Bench) -> None:
    """While the port refuses, the recorder tries on; then it fetches what was traded meanwhile."""
    sim = bench.simulate()
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command("refuse", sec=3)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    assert int(recorder.wait_for("futu_connected", 2)[1].fields["attempts"]) >= 3
    reasons = [line.fields["reason"] for line in recorder.log_lines("futu_disconnected")]
    assert any("refused" in reason for reason in reasons[1:]), reasons
    assert len(faults_of(sim, "refuse_over")) == 1
    bench.settle_whole(sim, recorder)
    assert any(row.push_type == "backfill" for row in recorder.rows())


def test_while_there_are_trades_opend_is_tried_again_within_two_seconds(bench: Bench) -> None:
    """However long RECONNECT_MAX_DELAY is: a market that was just trading may be trading still, also on a Sunday."""
    sim = bench.simulate(rate=60)
    recorder = bench.record(sim, RECONNECT_MAX_DELAY=60, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["pushes"] > 50)
    assert sim.command("refuse", sec=16)["n"] == 1
    connected = recorder.wait_for("futu_connected", 2)[1]
    assert int(connected.fields["attempts"]) >= 9, "a doubling alone makes eight in that time"
    assert len(recorder.log_lines("futu_disconnected")) == 2
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)
    assert len(faults_of(sim, "refuse_over")) == 1


def test_opend_that_answers_nothing_is_left_and_found_again(bench: Bench) -> None:
    """A call without an answer ends a link on which nothing else comes either; so does an unanswered opening."""
    sim = bench.simulate()
    recorder = bench.record(sim, FUTU_REQUEST_TIMEOUT_SEC=0.5, FUTU_CONNECT_TIMEOUT_SEC=0.5)
    recorder.wait_for("backfill_done")
    assert sim.command("silent", sec=4)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    reasons = [line.fields["reason"] for line in recorder.log_lines("futu_disconnected")]
    assert "no answer within 0.5 s" in reasons[0]
    assert "no answer from 127.0.0.1" in reasons[1]
    bench.settle_whole(sim, recorder)


def test_a_half_open_link_is_dead_after_a_time_and_backoff_starts_anew(bench: Bench) -> None:
    """A link that says nothing for FUTU_DEAD_LINK_SEC is given up; after so long a session, backoff starts anew."""
    sim = bench.simulate(rate=60)
    recorder = bench.record(sim, FUTU_DEAD_LINK_SEC=11, FUTU_CONNECT_TIMEOUT_SEC=1, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    sim.command("refuse", sec=1.5)
    recorder.wait_for("backfill_done", 2)
    before = recorder.log_lines("futu_disconnected")
    assert [line.fields["attempt"] for line in before] == ["1", "2"], "the others are held back"
    assert int(recorder.wait_for("futu_connected", 2)[1].fields["attempts"]) > 2
    assert sim.command("freeze", sec=13)["n"] == 1
    after = recorder.wait_for("futu_disconnected", len(before) + 1)[-1]
    assert "dead link: no whole frame for 1" in after.fields["reason"]
    assert after.fields["attempt"] == "0"
    assert float(after.fields["retry_in_sec"]) == 0.1
    recorder.wait_for("backfill_done", 3)
    assert len(faults_of(sim, "freeze_over")) == 1
    bench.settle_whole(sim, recorder)


def test_a_short_freeze_is_no_end(bench: Bench) -> None:
    """A link that is still for a moment stays, and what was kept back comes."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    assert sim.command("freeze", sec=2)["n"] == 1
    until(lambda: bool(faults_of(sim, "freeze_over")), "the freeze ends")
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


@pytest.mark.parametrize("fault", ["duplicate", "reorder"])
def test_pushes_twice_or_in_another_order_are_stored_once(bench: Bench, fault: str) -> None:
    """A push that comes twice is one row; pushes out of order are all stored."""
    sim = bench.simulate()
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command(fault, n=200)["n"] == 200
    verdict = bench.settle_whole(sim, recorder)
    assert verdict.revisions_stored == 0
    assert not recorder.log_lines("futu_disconnected")


def test_the_same_sequence_with_other_content_is_kept_aside(bench: Bench) -> None:
    """What OpenD said first stays; what it says later of the same trade is a row of tick_revisions, and is told."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["pushes"] > 100)
    assert sim.command("revise", n=7)["n"] == 7
    recorder.wait_for("tick_revised")
    verdict = bench.settle_whole(sim, recorder)
    assert verdict.revisions_sent == verdict.revisions_stored == 7
    assert recorder.query("SELECT count(*) FROM tick_revisions") == [(7,)]


def test_single_pushes_that_never_came_are_found_by_the_audit(bench: Bench) -> None:
    """A push that is lost on the way is stored from the next audit, and is marked so."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    assert sim.command("lose", n=30)["n"] == 30
    bench.settle_whole(sim, recorder)
    lost = sim.ledger().lost
    assert len(lost) == 30
    polled = {(row.symbol, row.seq) for row in recorder.rows() if row.push_type == "poll"}
    assert lost <= polled
    assert not recorder.log_lines("futu_disconnected")


def test_a_run_of_lost_pushes_is_found_whole(bench: Bench) -> None:
    """What a symbol traded without a push is not known from what is stored; the audit goes as deep as it must."""
    sim = bench.simulate(rate=20)
    recorder = bench.record(sim, FUTU_POLL_NUM=20)
    recorder.wait_for("backfill_done")
    sim.command("lose", n=900, wait=False)
    sim.command("burst", ticks=900, symbols=["HK.00005"])
    bench.settle_whole(sim, recorder)
    assert len(sim.ledger().lost) == 900
    assert not recorder.log_lines("futu_disconnected")


def test_pushes_that_all_fail_to_come_are_noticed(bench: Bench) -> None:
    """A few symbols that are asked for tell it: all are fetched; the second time the connection is made anew."""
    sim = bench.simulate(symbols=40, rate=300)
    recorder = bench.record(sim, count=40)
    recorder.wait_for("backfill_done")
    sim.command("lose", n=1_000_000, wait=False)
    made = sim.stats()["made"]
    sim.wait_for(lambda stats: stats["made"] > made + 1500)
    ended = recorder.wait_for("futu_disconnected")[0]
    assert ended.fields["reason"].startswith("no pushes, though ")
    missing = recorder.log_lines("pushes_missing")
    assert [line.fields["in_row"] for line in missing[:2]] == ["1", "2"]
    recorder.wait_for("futu_connected", 2)
    until(lambda: recorder.state()["session"]["resubscribes"] >= 2, "it is told to others")
    bench.settle_whole(sim, recorder)


def test_a_link_that_is_too_slow_is_kept(bench: Bench) -> None:
    """Behind a backlog every answer is late: signs of life go out on time, and a call that waits ends nothing."""
    sim = bench.simulate("--keep-alive", "1", rate=1500)
    recorder = bench.record(sim, FUTU_REQUEST_TIMEOUT_SEC=1)
    recorder.wait_for("backfill_done")
    assert sim.command("slow", bytes_per_sec=60_000, sec=6)["n"] == 1
    until(lambda: bool(faults_of(sim, "slow_over")), "the link is fast again")
    assert sim.stats()["made"] > 3 * CACHE_MAX
    bench.settle_whole(sim, recorder)
    assert not faults_of(sim, "keep_alive_missed")
    assert not recorder.log_lines("futu_disconnected")


def test_a_recorder_that_was_stopped_for_long_reads_before_it_judges(bench: Bench) -> None:
    """A process that did not run (a paused machine) finds the link silent only because it did not listen."""
    sim = bench.simulate(rate=5)
    recorder = bench.record(sim, FUTU_DEAD_LINK_SEC=11, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    recorder.signal(signal.SIGSTOP)
    began = time.monotonic()
    sim.command("burst", ticks=3 * CACHE_MAX, symbols=[BUSIEST], paced=False)
    until(lambda: time.monotonic() - began > 12, "it was stopped for longer than a dead link")
    recorder.signal(signal.SIGCONT)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")

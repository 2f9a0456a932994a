"""What can happen to OpenD itself: what is within its reach afterwards is stored, what is not is known exactly."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import faults_of
from support.recorder_process import until

if TYPE_CHECKING:
    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

    from hk_tick_collector.simulator.ledger import Key

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
CACHE_MAX = 1000  # of a symbol: what GetTicker reaches
MADE_GOOD_MAX = 50  # of a symbol: what OpenD makes good after it lost the exchange
NEVER_AUDIT: dict[str, Any] = {"FUTU_POLL_ENABLED": "false"}


def sequences_of(sim: SimulatorProcess, symbol: str) -> list[int]:
    """What a symbol has traded, in order."""
    return sorted(seq for name, seq in sim.ledger().ticks if name == symbol)


def not_stored(sim: SimulatorProcess, recorder: RecorderProcess) -> set[Key]:
    """What was made and is not stored."""
    return sim.ledger().ticks.keys() - recorder.stored()


def test_an_outage_of_the_exchange_within_50_ticks_leaves_no_hole(bench: Bench) -> None:
    """What OpenD makes good after it lost the exchange is stored as any other tick."""
    sim = bench.simulate(rate=20)
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command("outage", sec=2)["n"] == 1
    recorder.wait_for("opend_notice", regained="False", text="quote server lost")
    recorder.wait_for("opend_notice", regained="True")
    recorder.wait_for("backfill_done", 2)
    (over,) = faults_of(sim, "outage_over")
    assert over["n"] > 0
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_an_outage_beyond_50_ticks_loses_exactly_what_opend_never_had(bench: Bench) -> None:
    """Of what a symbol traded while OpenD did not hear the exchange, all but the last 50 is lost, and nothing else."""
    sim = bench.simulate(rate=50)
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 50)
    assert sim.command("outage", sec=2)["n"] == 1
    before = sequences_of(sim, BUSIEST)
    sim.command("burst", ticks=300, symbols=[BUSIEST])
    until(lambda: bool(faults_of(sim, "outage_over")), "the exchange is back")
    verdict = bench.settle(sim, recorder)
    assert verdict.ok, verdict
    ledger = sim.ledger()
    assert not_stored(sim, recorder) == ledger.unreachable.keys()
    assert set(ledger.unreachable.values()) == {"upstream"}
    lost = [seq for name, seq in ledger.unreachable if name == BUSIEST]
    assert len(lost) >= 300 - MADE_GOOD_MAX
    assert min(lost) >= before[-1]


def test_a_restart_that_empties_the_cache_loses_exactly_its_own_time(bench: Bench) -> None:
    """What was traded while OpenD restarted is gone for good; what was pushed before it is not."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    assert sim.command("restart", sec=1.5)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    verdict = bench.settle(sim, recorder)
    assert verdict.ok, verdict
    ledger = sim.ledger()
    assert not_stored(sim, recorder) == ledger.unreachable.keys()
    assert set(ledger.unreachable.values()) == {"restart"}
    assert verdict.unreachable > 100


def test_an_opend_that_is_down_loses_exactly_its_own_time(bench: Bench) -> None:
    """What was traded while OpenD did not run is lost, and what its cache kept over that time is not."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    assert sim.command("refuse", sec=1.5, keep_cache=False)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    verdict = bench.settle(sim, recorder)
    assert verdict.ok, verdict
    ledger = sim.ledger()
    assert not_stored(sim, recorder) == ledger.unreachable.keys()
    assert set(ledger.unreachable.values()) == {"down"}
    assert verdict.unreachable > 100


def test_what_has_left_the_cache_is_lost_and_not_a_tick_more(bench: Bench) -> None:
    """A symbol that trades 1,500 times while OpenD can't be reached lacks the first 500 of them."""
    sim = bench.simulate(rate=0.01)
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    sim.command("burst", ticks=200, symbols=[BUSIEST])
    recorder.wait_until_stored(sim)
    assert sim.command("refuse", sec=1)["n"] == 1
    before = set(sequences_of(sim, BUSIEST))
    sim.command("burst", ticks=1500, symbols=[BUSIEST])
    missed = [seq for seq in sequences_of(sim, BUSIEST) if seq not in before]
    lost = {(BUSIEST, seq) for seq in missed[:-CACHE_MAX]}
    assert len(lost) == 500
    recorder.wait_for("backfill_done", 2)
    verdict = bench.settle(sim, recorder, lost=lost)
    assert not_stored(sim, recorder) == lost
    assert (verdict.missing, verdict.duplicated, verdict.wrong, verdict.unknown) == (500, 0, 0, 0)


def test_another_login_is_told_and_its_time_is_fetched(bench: Bench) -> None:
    """When the quote right comes back, what was traded without pushes is fetched, and the cause is in the log."""
    sim = bench.simulate()
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command("kick", sec=2)["n"] == 1
    recorder.wait_for("opend_notice", kicked_out="True")
    recorder.wait_for("opend_notice", regained="True")
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)
    assert any(row.push_type == "backfill" for row in recorder.rows())
    assert not recorder.log_lines("futu_disconnected")


def test_a_regained_right_is_not_kept_waiting_by_an_audit(bench: Bench) -> None:
    """The pause between two audits of one busy symbol ends when there is something to fetch at once."""
    sim = bench.simulate(symbols=1, rate=300)
    recorder = bench.record(sim, count=1, FUTU_POLL_INTERVAL_SEC=3, FUTU_POLL_STALE_SEC=3)
    recorder.wait_for("backfill_done")
    # The pause begins behind the first audit.
    sim.wait_for(lambda stats: stats["get_ticker"] >= 2)
    assert sim.command("kick", sec=1)["n"] == 1
    until(lambda: bool(faults_of(sim, "kick_over")), "the right is back")
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)


def test_a_recorder_that_starts_first_tries_on_until_opend_is_there(bench: Bench) -> None:
    """Pauses grow to RECONNECT_MAX_DELAY and not further; of refusals that are all alike, one line is enough."""
    with socket.socket() as reserved:  # bound and not listening: connecting to it is refused
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        recorder = bench.record(port, RECONNECT_MAX_DELAY=0.4)
        (line,) = recorder.wait_for("futu_disconnected")
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 3, "some attempts are made")
    sim = bench.simulate("--port", str(port))
    assert "refused" in line.fields["reason"]
    assert (line.fields["attempt"], line.fields["repeated"]) == ("1", "0")
    assert 0.1 <= float(line.fields["retry_in_sec"]) <= 0.2
    (connected,) = recorder.wait_for("futu_connected")
    assert int(connected.fields["attempts"]) >= 6
    assert len(recorder.log_lines("futu_disconnected")) == 1
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 300)
    bench.settle_whole(sim, recorder)

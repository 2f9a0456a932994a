"""What can happen to the recorder: killed, stopped, blocked or flooded, it stores what it has received, once."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import faults_of
from support.recorder_process import until

from hk_tick_collector.journal.segments import DIRECTORY, Kind, iter_records
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.frames import TICKER_PUSH, iter_frames
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

    from hk_tick_collector.simulator.ledger import Key

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
CACHE_MAX = 1000
NEVER_AUDIT: dict[str, Any] = {"FUTU_POLL_ENABLED": "false"}

# Another process that holds the write lock of a database until it is told to let go.
HOLD_LOCK = """
import sys
import apsw
con = apsw.Connection(sys.argv[1])
con.set_busy_timeout(60000)
con.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
con.execute("ROLLBACK")
"""


def journaled(data_root: Path) -> set[Key]:
    """Every tick that was pushed to a recorder, by its journal."""
    return set(_journaled(data_root))


def _journaled(data_root: Path) -> Iterator[Key]:
    for record in iter_records(data_root / DIRECTORY):
        if record.kind == Kind.FRAMES:
            for proto_id, _, body in iter_frames(record.payload):
                if proto_id == TICKER_PUSH:
                    s2c = messages.parse_tickers(body).s2c
                    symbol = symbol_of(s2c.security.market, s2c.security.code)
                    for tick in s2c.tickerList:
                        yield symbol, tick.sequence


def journal_bytes(recorder: RecorderProcess) -> int:
    """How much the recorder has received."""
    return sum(path.stat().st_size for path in (recorder.data_root / DIRECTORY).glob("*.hkj"))


def unread_bytes(sim: SimulatorProcess) -> int:
    """What the kernel holds of a stream because the recorder does not read it; it may take megabytes."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if int(remote.rpartition(":")[2], 16) == sim.port:
            total += int(queues.rpartition(":")[2], 16)
    return total


def wait_for_more(sim: SimulatorProcess, ticks: int) -> None:
    """Wait until so many more were made."""
    made = sim.stats()["made"]
    sim.wait_for(lambda stats: stats["made"] > made + ticks)


def test_kill_9_of_everything_again_and_again(bench: Bench) -> None:
    """Recorder and writer killed three times at 400 ticks/s: the next one goes on, and nothing is missing or twice."""
    sim = bench.simulate(rate=400, symbols=10)
    recorder = bench.record(sim, count=10)
    recorder.wait_for("backfill_done")
    for kills in range(1, 4):
        wait_for_more(sim, 300)
        recorder.kill_all()
        assert not recorder.is_running
        recorder.start()
        recorder.wait_for("backfill_done", kills + 1)
    bench.settle_whole(sim, recorder)
    assert len(recorder.log_lines("recorder_started")) == 4
    assert len(recorder.log_lines("recorder_stopped")) == 1


def test_killed_while_a_symbol_trades_beyond_the_cache(bench: Bench) -> None:
    """A symbol that trades 1,500 times while no recorder runs lacks the first 500 of them, and only these."""
    sim = bench.simulate(rate=0.01)
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    sim.command("burst", ticks=700, symbols=[BUSIEST])
    recorder.wait_until_stored(sim)
    recorder.kill_all()
    before = sim.ledger().ticks.keys()
    sim.command("burst", ticks=1500, symbols=[BUSIEST])
    missed = sorted(sim.ledger().ticks.keys() - before)
    lost = set(missed[:-CACHE_MAX])
    assert len(lost) == 500
    recorder.start()
    recorder.wait_for("backfill_done", 2)
    verdict = bench.settle(sim, recorder, lost=lost)
    assert sim.ledger().ticks.keys() - recorder.stored() == lost
    assert (verdict.missing, verdict.duplicated, verdict.wrong, verdict.unknown) == (500, 0, 0, 0)


def test_a_writer_that_is_killed_is_built_again(bench: Bench) -> None:
    """The recorder goes on taking ticks while it has no writer; the next one goes on from the cursor."""
    sim = bench.simulate(rate=1000)
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 500)
    (writer,) = recorder.writer_pids()
    recorder.kill_writer()
    recorder.wait_for("writer_ended", exit_code="-9")
    recorder.wait_for("writer_started", 2)
    assert recorder.writer_pids() != [writer]
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_a_database_that_is_locked_for_long_costs_nothing(bench: Bench) -> None:
    """Another process holds the write lock for 12 s at 1,000 ticks/s: the journal grows, the memory does not."""
    sim = bench.simulate(rate=1000)
    # What the writer holds while it tries again is one batch: a small one, so that growth would show.
    recorder = bench.record(sim, BATCH_SIZE=1000, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 1000, "the day's database is there, and memory has its size")
    (path,) = recorder.data_root.glob("*.db")
    before_kib = recorder.pss_kib()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        began = time.monotonic()
        received, rows = journal_bytes(recorder), len(recorder.rows())
        recorder.wait_for("persist_failed")
        until(lambda: time.monotonic() - began > 12, "it is locked for that long", 20)
        after_kib = recorder.pss_kib()
        assert len(recorder.rows()) - rows < 1000
        assert journal_bytes(recorder) - received > 10_000 * 100
        assert holder.stdin is not None
        holder.stdin.close()
    assert after_kib - before_kib < 16 * 1024, (before_kib, after_kib)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")
    assert not recorder.log_lines("writer_ended")


def test_a_disk_that_takes_no_more_for_a_while_costs_nothing(bench: Bench) -> None:
    """While the journal can't grow the recorder stops reading and keeps its connection; OpenD holds the rest for it."""
    sim = bench.simulate(rate=0.01)
    # The simulator makes all of a burst before it pushes any of it, which an audit at that moment would rightly report.
    seldom = {"FUTU_POLL_INTERVAL_SEC": 3, "FUTU_POLL_STALE_SEC": 3}
    recorder = bench.record(sim, JOURNAL_BUFFER_MB=1, FUTU_REQUEST_TIMEOUT_SEC=0.5, **seldom)
    recorder.wait_for("backfill_done")
    # No file may grow beyond this: to the journal it is a full disk, and the log is far smaller.
    before = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    assert sim.command("burst", ticks=60_000, paced=False)["pushes"] == 60_000
    recorder.wait_for("journal_write_failed")
    recorder.wait_for("journal_full")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 7, "calls were made that nobody could read the answer of")
    assert journal_bytes(recorder) <= 2_000_000
    assert sim.stats()["backlog_bytes"] + unread_bytes(sim) > 0
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, before)
    recorder.wait_for("journal_write_recovered")
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_a_burst_of_sixty_thousand_pushes_is_stored_whole(bench: Bench) -> None:
    """60,000 pushes of one tick each, as fast as the recorder reads: no tick is dropped, no connection lost."""
    sim = bench.simulate(rate=0.01, symbols=50)
    recorder = bench.record(sim, count=50, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    assert sim.command("burst", ticks=60_000)["pushes"] == 60_000
    verdict = bench.settle_whole(sim, recorder)
    assert verdict.stored >= 60_000
    assert not recorder.log_lines("futu_disconnected")
    assert not faults_of(sim, "write_limit")


def test_sigterm_in_the_middle_of_a_burst_stores_what_was_received(bench: Bench) -> None:
    """Told to stop while pushes pour in, the recorder takes no more, stores all that it took, and exits with 0."""
    sim = bench.simulate(rate=0.01)
    recorder = bench.record(sim, **NEVER_AUDIT)
    recorder.wait_for("backfill_done")
    # Slower than the recorder reads, so that the stop comes in the middle on every machine.
    assert sim.command("slow", bytes_per_sec=3_000_000, sec=60)["n"] == 1
    assert sim.command("burst", ticks=60_000, symbols=[BUSIEST], paced=False)["pushes"] == 60_000
    until(lambda: journal_bytes(recorder) > 1_000_000, "the burst comes in")
    assert recorder.stop() == 0
    received = journaled(recorder.data_root)
    made = [key for key in sorted(sim.ledger().ticks) if key[0] == BUSIEST]
    assert 5000 < len(received) < len(made)
    assert recorder.stored() == received == set(made[: len(received)])
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert verdict.missing == verdict.sent - len(received)
    assert (verdict.duplicated, verdict.wrong, verdict.unknown) == (0, 0, 0)
    (stopped,) = recorder.log_lines("recorder_stopped")
    assert (stopped.fields["reason"], stopped.fields["stored"]) == ("SIGTERM", "True")


@pytest.mark.parametrize("pause_sec", [0.0, 0.01, 0.05])
def test_a_connection_that_ends_while_the_recorder_stops_changes_nothing(bench: Bench, pause_sec: float) -> None:
    """OpenD and the recorder are stopped together: the stop is as clean as ever, and nothing is lost."""
    sim = bench.simulate(symbols=3, rate=3000)
    recorder = bench.record(sim, count=3)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 3000)
    recorder.signal(signal.SIGTERM)
    time.sleep(pause_sec)  # the cut falls before, into or behind the reading of what the kernel still holds
    sim.try_command("cut")
    sim.command("pause")  # or more ticks would be made until it is back than OpenD keeps
    assert recorder.wait() == 0
    assert recorder.log_lines("recorder_stopped")
    assert not recorder.log_lines("fatal")
    recorder.start()
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)

"""The watchdog on real processes: a writer that is stopped, killed or locked out, and what is done about it."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.bench import faults_of
from support.recorder_process import until

from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from support.bench import Bench
    from support.recorder_process import LogLine, RecorderProcess
    from support.simulator_process import SimulatorProcess

pytestmark = pytest.mark.faults

STALL_SEC = 3.0
QUICK_WATCHDOG: dict[str, Any] = {
    "CHECK_INTERVAL_SEC": 0.2,
    "WATCHDOG_STALL_SEC": STALL_SEC,
    "WATCHDOG_QUEUE_THRESHOLD_ROWS": 100,
    "WATCHDOG_UPSTREAM_WINDOW_SEC": 2,
    "PERSIST_RETRY_BACKOFF_MAX_SEC": 1,
    "STOP_FLUSH_TIMEOUT_SEC": 20,
}
NEVER_AUDIT: dict[str, Any] = {"FUTU_POLL_ENABLED": "false"}

DUMP, TRIGGERED = "WATCHDOG diagnostic_dump", "WATCHDOG recovery_triggered"
FAILED, GAVE_UP = "WATCHDOG recovery_failed", "WATCHDOG persistent_stall"

WRITER_STACK = re.compile(r'\(most recent call first\):\n(  File .*\n)*  File ".*/hk_tick_collector/writer/loop\.py"')
RECORDER_STACK = re.compile(r'\(most recent call first\):\n(  File .*\n)*  File ".*/hk_tick_collector/main\.py"')
JOURNAL_STACK = re.compile(
    r'\(most recent call first\):\n(  File .*\n)*  File ".*/hk_tick_collector/journal/append\.py"'
)


def state_of(pid: int) -> str:
    """The kernel's letter for a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - as short as the rest
        return file.read().rpartition(")")[2].split()[0]


def watchdog_lines(recorder: RecorderProcess) -> list[str]:
    """What the watchdog said, in order."""
    return [line.event for line in recorder.log_lines() if line.event.startswith("WATCHDOG ")]


def wait_for_either(recorder: RecorderProcess, event: str, count: int = 1) -> LogLine:
    """Wait long for a line of the watchdog: a machine that is busy makes all of this slow."""
    return recorder.wait_for(event, count, timeout_sec=60)[-1]


class Lock:
    """The write lock of the day's database, held by this process."""

    def __init__(self, recorder: RecorderProcess) -> None:
        (path,) = recorder.data_root.glob("*.db")
        self._con = apsw.Connection(str(path))
        self._con.set_busy_timeout(30_000)
        self._con.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        """Let go."""
        self._con.close()


def started(bench: Bench, **settings: object) -> tuple[SimulatorProcess, RecorderProcess]:
    """A recorder that stores 400 ticks a second."""
    sim = bench.simulate(rate=400)
    recorder = bench.record(sim, **{**QUICK_WATCHDOG, **settings})
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 300, "rows are stored")
    return sim, recorder


def test_a_stopped_writer_is_dumped_and_built_again(bench: Bench) -> None:
    """SIGSTOP under traffic: both processes show their stacks, a new writer goes on, and sent is stored."""
    sim, recorder = started(bench)
    (writer,) = recorder.writer_pids()
    os.kill(writer, signal.SIGSTOP)
    until(lambda: state_of(writer) == "T", "it is stopped")
    dump = wait_for_either(recorder, DUMP)
    assert (dump.fields["writer_pid"], dump.fields["writer_state"]) == (str(writer), "T")
    assert int(dump.fields["queue_rows"]) >= 100
    wait_for_either(recorder, "writer_recovered")
    assert writer not in recorder.writer_pids()
    assert watchdog_lines(recorder) == [DUMP, TRIGGERED]
    text = recorder.log_path.read_text()
    dumped = text[text.index(DUMP) : text.index(TRIGGERED)]
    assert WRITER_STACK.search(dumped)
    assert RECORDER_STACK.search(dumped)
    assert JOURNAL_STACK.search(dumped)
    assert recorder.log_lines("writer_ended")[0].fields["exit_code"] == "-9"
    until(lambda: recorder.state()["watchdog"]["stalls"] == 1, "it is told to others")
    until(lambda: not recorder.state()["watchdog"]["is_stalled"], "and that it is over")
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_what_is_left_over_when_the_market_goes_quiet_is_rescued(bench: Bench) -> None:
    """A writer that hangs with the last ticks of the day: no tick comes any more, and they are stored all the same."""
    sim, recorder = started(bench, **NEVER_AUDIT)
    (writer,) = recorder.writer_pids()
    os.kill(writer, signal.SIGSTOP)
    sim.command("burst", ticks=500)
    sim.command("pause")
    sim.command("sync")
    recorder.wait_for("writer_recovered", timeout_sec=60)
    assert watchdog_lines(recorder) == [DUMP, TRIGGERED]
    bench.settle_whole(sim, recorder)


def test_a_writer_that_is_killed_is_no_stall(bench: Bench) -> None:
    """The collector builds the next one by itself; the watchdog has nothing to do."""
    sim, recorder = started(bench)
    recorder.kill_writer()
    recorder.wait_for("writer_ended", exit_code="-9")
    recorder.wait_for("writer_started", 2)
    commits = recorder.state()["writer"]["commits"]
    until(lambda: recorder.state()["writer"]["commits"] > commits, "the next one stores")
    bench.settle_whole(sim, recorder)
    assert watchdog_lines(recorder) == []


def test_a_lock_that_does_not_end_ends_the_recorder_and_the_next_start_stores_all(bench: Bench) -> None:
    """After the last failed recovery it ends in order with 1, in time; nothing that was received is lost."""
    sim, recorder = started(bench, WATCHDOG_RECOVERY_MAX_FAILURES=2)
    lock = Lock(recorder)
    stored = len(recorder.rows())
    assert recorder.wait() == 1
    assert watchdog_lines(recorder) == [DUMP, TRIGGERED, FAILED, DUMP, TRIGGERED, FAILED, GAVE_UP]
    assert [line.fields["failures"] for line in recorder.log_lines(FAILED)] == ["1", "2"]
    assert "locked" in recorder.log_lines("persist_failed")[0].fields["error"]
    assert len(recorder.rows()) == stored, "it was locked all the time"
    (stopped,) = recorder.log_lines("recorder_stopped")
    assert (stopped.fields["reason"], stopped.fields["stored"]) == ("persistent_stall", "False")
    assert float(stopped.fields["sec"]) < 15, "the writer is not waited for as long as at a stop"
    state = recorder.state()
    assert (state["running"], state["stop_reason"], state["stored"]) == (False, "persistent_stall", False)
    assert state["stopped_ms"] >= state["started_ms"]
    assert not recorder.log_lines("fatal")
    lock.release()
    sim.command("pause")
    sim.command("refuse", sec=600)  # what is stored now can only come out of the journal
    received = sim.ledger().ticks.keys()
    recorder.start()
    until(lambda: len(recorder.stored()) > stored, "the journal's rest is stored")
    assert recorder.stop() == 0
    assert recorder.stored() <= received
    sim.command("sync")
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert (verdict.duplicated, verdict.wrong, verdict.unknown) == (0, 0, 0)
    assert verdict.stored > stored


def test_a_lock_that_ends_in_time_is_survived(bench: Bench) -> None:
    """One recovery fails while the lock is held; once it is free all is stored, and the recorder has not ended."""
    sim, recorder = started(bench, WATCHDOG_RECOVERY_MAX_FAILURES=50)
    lock = Lock(recorder)
    wait_for_either(recorder, FAILED)
    lock.release()
    wait_for_either(recorder, "writer_recovered")
    assert GAVE_UP not in watchdog_lines(recorder)
    bench.settle_whole(sim, recorder)
    assert recorder.log_lines("persist_failed")


def test_a_disk_that_takes_nothing_does_not_end_the_recorder(bench: Bench) -> None:
    """Ticks are in memory alone: however often a recovery fails, giving up would lose them, and nothing is lost."""
    sim, recorder = started(bench, WATCHDOG_RECOVERY_MAX_FAILURES=1, **NEVER_AUDIT)
    lock = Lock(recorder)
    # No file may grow beyond this: to the journal it is a full disk, and the log is far smaller.
    before = resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    assert sim.command("burst", ticks=20_000)["pushes"] == 20_000
    recorder.wait_for("journal_write_failed")
    assert int(wait_for_either(recorder, FAILED, 2).fields["failures"]) == 2
    assert recorder.is_running
    lock.release()
    wait_for_either(recorder, "writer_recovered")
    resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, before)
    recorder.wait_for("journal_write_recovered")
    bench.settle_whole(sim, recorder)
    assert GAVE_UP not in watchdog_lines(recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_a_short_lock_is_no_stall(bench: Bench) -> None:
    """Shorter than WATCHDOG_STALL_SEC: the writer tries again by itself."""
    sim, recorder = started(bench, WATCHDOG_STALL_SEC=60)
    lock = Lock(recorder)
    recorder.wait_for("persist_failed")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > STALL_SEC, "it is locked for a while")
    lock.release()
    bench.settle_whole(sim, recorder)
    assert watchdog_lines(recorder) == []


def test_sigusr1_to_the_recorder_shows_both_processes(bench: Bench) -> None:
    """One signal, all threads of both; and everything goes on."""
    sim, recorder = started(bench)
    before = len(recorder.log_path.read_text())

    def said(what: re.Pattern[str]) -> bool:
        return bool(what.search(recorder.log_path.read_text()[before:]))

    recorder.signal(signal.SIGUSR1)
    until(lambda: said(RECORDER_STACK) and said(JOURNAL_STACK), "its own stacks")
    until(lambda: said(WRITER_STACK), "its writer's stacks")
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")
    assert watchdog_lines(recorder) == []


@pytest.mark.parametrize("half_day", [False, True])
def test_the_closing_print_after_closed_is_recorded(bench: Bench, *, half_day: bool) -> None:
    """It comes eight minutes after the session's end, when OpenD says CLOSED already; nothing has stopped by then."""
    date, start = ("20261224", "11:57") if half_day else ("20261120", "15:57")
    options = ("--date", date, "--start", start, "--speed", "60", "--ticks-per-day", "200000", "--hold")
    sim = bench.simulate_day(*options, symbols=3)
    recorder = bench.record(sim, count=3, **{**QUICK_WATCHDOG, "FUTU_POLL_INTERVAL_SEC": 0.5})
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["done"], 60)
    stats = sim.stats()
    assert stats["market_state"] == 6
    bench.settle_whole(sim, recorder)
    auctions = recorder.query(
        "SELECT time(ts_ms / 1000, 'unixepoch', '+8 hours') FROM ticks WHERE tick_type = 'AUCTION'"
    )
    assert len(auctions) == 3
    assert all(at >= ("12:08:00" if half_day else "16:08:00") for (at,) in auctions), auctions
    assert not recorder.log_lines("pushes_missing")
    assert not recorder.log_lines("futu_disconnected")
    assert watchdog_lines(recorder) == []
    assert not faults_of(sim, "cut")


def test_lunch_raises_nothing(bench: Bench) -> None:
    """Pushes that end at noon, and begin at one, are a market that rests: nobody is called, nothing is done anew."""
    options = ("--date", "20261120", "--start", "11:57", "--speed", "300", "--ticks-per-day", "400000", "--hold")
    sim = bench.simulate_day(*options, symbols=3)
    recorder = bench.record(sim, count=3, **{**QUICK_WATCHDOG, "FUTU_POLL_INTERVAL_SEC": 0.3})
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["sim_time"][11:] > "13:03:00", 90)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("pushes_missing")
    assert len(recorder.log_lines("backfill_done")) == 1
    assert not recorder.log_lines("futu_disconnected")
    assert watchdog_lines(recorder) == []

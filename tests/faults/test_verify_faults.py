"""`verify` on real recorders: it accepts one that records, and says of one that does not, what is missing."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import pytest
from support import warm
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench

pytestmark = pytest.mark.faults

TIMEOUT_SEC = 90.0


class Verified(NamedTuple):
    """What `verify --json` said, and its exit code."""

    code: int
    told: dict[str, Any]

    @property
    def missed(self) -> dict[str, str]:
        """What was seen instead of each target that was missed."""
        return {entry["target"]: entry["seen"] for entry in self.told["targets"] if entry["outcome"] == "MISSED"}


def verify(recorder: RecorderProcess, *options: str, wait_sec: float = 30) -> Verified:
    """Run the command as an operator does, on the recorder's files and its log."""
    command = (sys.executable, "-m", "hk_tick_collector.cli.app", "verify", "--json", "--wait-sec", str(wait_sec))
    done = warm.run(
        [*command, "--log", str(recorder.log_path), *options],
        env={"PATH": os.environ["PATH"], "DATA_ROOT": str(recorder.data_root)},
        cwd=recorder.data_root,
        timeout=TIMEOUT_SEC,
    )
    assert done.returncode in {0, 1}, done.stderr
    return Verified(done.returncode, json.loads(done.stdout))


def test_a_recorder_that_records_is_accepted(bench: Bench) -> None:
    """Every target is met by evidence, and none is left unjudged."""
    sim = bench.simulate()
    recorder = bench.record(sim, SQLITE_BUSY_TIMEOUT_MS=2345)
    recorder.wait_for("backfill_done")
    recorder.wait_for("persist_ticks")  # else the first look may come before the first row
    verified = verify(recorder)
    assert verified.code == 0, verified.told
    assert {entry["outcome"] for entry in verified.told["targets"]} == {"ok"}
    assert verified.told["rows"] > verified.told["rows_before"]
    assert abs(verified.told["max_minus_now_sec"]) <= 60
    assert (verified.told["journal_mode"], verified.told["busy_timeout"]) == ("wal", 2345)
    assert verified.told["market"] == "open: OpenD says MORNING"
    bench.settle_whole(sim, recorder)


def test_without_a_log_the_running_writer_tells_the_busy_timeout(bench: Bench) -> None:
    """From the arguments that it was started with, not from what this command would have set."""
    sim = bench.simulate()
    recorder = bench.record(sim, SQLITE_BUSY_TIMEOUT_MS=2345)
    recorder.wait_for("backfill_done")
    until(lambda: "writer" in recorder.state(), "recorder.json is there")
    verified = verify(recorder, "--log", os.devnull)
    assert verified.told["busy_timeout"] == 2345
    assert verified.told["busy_timeout_source"].startswith("arguments of the writer, pid ")
    bench.settle_whole(sim, recorder)


def test_a_writer_that_hangs_is_seen_by_its_rows(bench: Bench) -> None:
    """Frames come and rows do not: not accepted, and once it goes on, accepted."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    until(lambda: recorder.state().get("session", {}).get("subscribed", 0) > 0, "recorder.json tells of the session")
    assert recorder.state()["market"]["source"] == "opend"
    (writer,) = recorder.writer_pids()
    os.kill(writer, signal.SIGSTOP)
    try:
        verified = verify(recorder, wait_sec=0)
    finally:
        os.kill(writer, signal.SIGCONT)
    assert verified.code == 1
    assert "rows" in verified.missed, verified.told
    assert verify(recorder).code == 0
    bench.settle_whole(sim, recorder)


def test_a_recorder_that_was_killed_is_not_accepted(bench: Bench) -> None:
    """Its recorder.json says that it runs; its lock says that it does not."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    until(lambda: bool(recorder.state()), "recorder.json is there")
    recorder.kill_all()
    assert recorder.state()["running"] is True
    verified = verify(recorder, wait_sec=0)
    assert verified.code == 1
    assert verified.missed["recorder"] == f"no recorder is running on {recorder.data_root}"
    assert verified.told["health"] == "failing"
    assert "did not stop cleanly" in verified.told["health_reasons"][0]
    recorder.start()
    recorder.wait_for("backfill_done", 2)
    assert verify(recorder).code == 0
    bench.settle_whole(sim, recorder)


def test_a_tick_of_the_future_is_seen_in_the_rows(bench: Bench) -> None:
    """The notes' incident, put into the database behind the recorder's back: only the ticks themselves show it."""
    sim = bench.simulate()
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    until(lambda: bool(recorder.rows()), "something is stored")
    path = max(recorder.data_root.glob("*.db"))
    con = apsw.Connection(str(path))
    con.set_busy_timeout(10_000)
    con.execute("BEGIN IMMEDIATE")
    ((symbol, seq, ts_ms),) = con.execute("SELECT symbol, seq, ts_ms FROM ticks LIMIT 1").fetchall()
    con.execute("UPDATE ticks SET ts_ms = ts_ms + 8 * 3600000 WHERE symbol = ? AND seq = ?", (symbol, seq))
    con.execute("COMMIT")
    verified = verify(recorder, wait_sec=0)
    assert verified.code == 1
    assert "ts_ms is in the future" in verified.missed["max_minus_now_sec"]
    con.execute("UPDATE ticks SET ts_ms = ? WHERE symbol = ? AND seq = ?", (ts_ms, symbol, seq))
    con.close()
    assert verify(recorder).code == 0
    bench.settle_whole(sim, recorder)


def test_lunch_fails_nothing(tmp_path: Path) -> None:
    """OpenD says REST: the newest tick is old and no row comes, and a recorder that is well is accepted."""
    noon = ("--date", "20261120", "--start", "11:58", "--speed", "30", "--symbols", "HK.00700,HK.09988", "--hold")
    with (
        SimulatorProcess(tmp_path, *noon) as sim,
        RecorderProcess(tmp_path, sim.port, ["HK.00700", "HK.09988"]) as recorder,
    ):
        until(lambda: bool(recorder.rows()), "something is stored")
        sim.wait_for(lambda stats: stats["sim_time"][11:] > "12:01:00")
        assert recorder.stop() == 0
        recorder.start()  # asks OpenD anew for the market's state
        recorder.wait_for("backfill_done", 2)
        verified = verify(recorder)
        assert verified.code == 0, verified.told
        assert verified.told["market"] == "closed, or in an auction: OpenD says REST"
        assert verified.told["max_minus_now_sec"] < -60
        unjudged = {entry["target"] for entry in verified.told["targets"] if entry["outcome"] == "not judged"}
        assert {"max_minus_now_sec", "rows"} <= unjudged
        assert verify(recorder, "--market", "open", wait_sec=0).code == 1
        assert recorder.stop() == 0

"""Sealing by real processes: beside a writer, killed at any moment, and by a recorder at night."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import warm
from support.recorder_process import RecorderProcess
from support.sealing import SILENT, certificate, make_day, seal_day
from support.simulator_process import SimulatorProcess
from support.ticks import DAY, TENCENT, pushes, seq_at
from support.trading_time import clock_of
from support.writer_process import WriterBench, until

from hk_tick_collector.hktime import parse_time
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.sealed import is_sealed, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WriterBench]:
    """A journal and its writers."""
    made = WriterBench(tmp_path)
    yield made
    made.end()


def start_sealing(root: Path) -> warm.Process:
    """A process that seals what is due, and ends when it is told to."""
    asked = json.dumps({"data_root": str(root), "before_day": "20260803", "quiet_sec": 0, "log_level": "ERROR"})
    command = [sys.executable, "-m", "hk_tick_collector.seal", asked]
    return warm.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def end(process: warm.Process) -> bytes:
    """Wait for its end, with its input open; what it told."""
    assert process.stdin is not None
    assert process.stdout is not None
    told = process.stdout.read()
    process.wait(90)
    process.stdin.close()
    process.stdout.close()
    return told


def test_ticks_that_come_while_days_are_sealed_and_sealings_killed(bench: WriterBench) -> None:
    """Whatever meets what: no tick is lost, and each certificate that is there is right, the superseded ones too."""
    rng = random.Random(11)
    writer = bench.write()
    fed = killed = certified = 0
    for turn in range(12):
        bench.feed(pushes(TENCENT, range(fed, fed + 50)))
        fed += 50
        writer.wait_until(inserted=fed if turn == 0 else 1)
        process = start_sealing(bench.root)
        if turn % 3:
            time.sleep(
                rng.random() * 0.2
            )  # not awaited: a moment is drawn at which it is killed, wherever it is by then
            bench.feed(pushes(TENCENT, range(fed, fed + 5)))
            fed += 5
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        end(process)
        writer.wait_until(inserted=fed)
        if is_sealed(bench.root / f"{DAY}.db"):
            certified += 1
            assert not recheck(bench.root, DAY, SILENT).differences
    assert killed
    assert certified
    assert bench.keys() == [(TENCENT, seq_at(n)) for n in range(fed)]
    assert writer.end() == 0
    database = bench.root / f"{DAY}.db"
    seal_day(database)
    assert certificate(database)["rows"] == fed
    assert certificate(database)["supersedes"] == max(superseded(database))
    assert not recheck(bench.root, DAY, SILENT).differences


def test_a_writer_that_has_the_day_open_lets_it_be_sealed(bench: WriterBench) -> None:
    """It lets go of it at once, goes on with what else comes, and what it is sent again opens nothing."""
    bench.feed(pushes(TENCENT, range(40)))
    writer = bench.write()
    writer.wait_until(inserted=40)
    process = start_sealing(bench.root)
    assert json.loads(end(process))["rows"] == 40
    before = certificate(bench.root / f"{DAY}.db")
    bench.feed(pushes(TENCENT, range(40)))
    writer.wait_until(duplicates=40)
    assert certificate(bench.root / f"{DAY}.db") == before
    assert not writer.log("day_reopened")
    bench.feed(pushes(TENCENT, [77]))
    writer.wait_until(inserted=41)
    until(lambda: bool(writer.log("day_reopened")))
    assert not is_sealed(bench.root / f"{DAY}.db")
    assert writer.end() == 0


@pytest.mark.timeout(300)
def test_a_recorder_seals_at_night(tmp_path: Path) -> None:
    """A day that was never sealed, once OpenD is there and does not trade; the child is no trouble when it stops."""
    with SimulatorProcess(tmp_path, "--date", "20260803", "--start", "17:00", "--speed", "1", "--hold") as sim:
        clock = clock_of(parse_time("2026-08-03 17:00:00").ms)  # else the two disagree about which day is over
        recorder = RecorderProcess(tmp_path, sim.port, [TENCENT], SEAL_ENABLED="true", SEAL_DELAY_MIN="0", **clock)
        database = make_day(recorder.data_root, DAY)
        with recorder:
            (line,) = recorder.wait_for("day_sealed", timeout_sec=90)
            assert line.level == "WARNING"
            assert (line.fields["day"], line.fields["verdict"], line.fields["rows"]) == (DAY, "UNPROVABLE", "10")
            assert recorder.stop() == 0
    assert not recorder.log_lines("seal_failed")
    assert not recheck(recorder.data_root, DAY, SILENT).differences
    assert certificate(database)["verdict"] == "UNPROVABLE"


@pytest.mark.timeout(300)
def test_a_recorder_whose_clock_is_wrong_seals_nothing(tmp_path: Path) -> None:
    """A week ahead of OpenD's: today is over by it, and a line says why it waits."""
    with SimulatorProcess(tmp_path, "--date", "20260731", "--start", "17:00", "--speed", "1", "--hold") as sim:
        clock = clock_of(parse_time("2026-08-07 17:00:00").ms)
        recorder = RecorderProcess(tmp_path, sim.port, [TENCENT], SEAL_ENABLED="true", SEAL_DELAY_MIN="0", **clock)
        database = make_day(recorder.data_root, DAY)
        with recorder:
            (line,) = recorder.wait_for("seal_waits", timeout_sec=90)
            assert "ahead of OpenD's" in line.fields["reason"]
            assert recorder.stop() == 0
    assert not recorder.log_lines("day_sealed")
    assert not is_sealed(database)

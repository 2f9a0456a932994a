"""Standard error that nobody reads, standard files that are closed, and SIGUSR1 as often as somebody likes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support.ports import free_port
from support.probe import wait_for_health
from support.recorder_process import RecorderProcess, until

from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bench import Bench
    from support.simulator_process import SimulatorProcess

pytestmark = pytest.mark.faults

SYMBOLS = universe(3, 0)
F_SETPIPE_SZ = 1031
SIGNALS = 1000


@pytest.fixture
def sim(bench: Bench) -> SimulatorProcess:
    """A simulator with some load."""
    return bench.simulate(symbols=3, rate=2000)


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The end of a pipe into which not one more byte goes, and which nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"x" * 512):
            pass
    with pytest.raises(BlockingIOError):
        os.write(writer, b"x")
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def settle(sim: SimulatorProcess, recorder: RecorderProcess) -> None:
    """All that was sent is stored, and the recorder ends in order."""
    sim.command("pause")
    recorder.wait_until_stored(sim)
    assert recorder.stop() == 0
    sim.command("sync")
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert verdict.ok, verdict


def test_a_storm_of_sigusr1_harms_nothing(bench: Bench, sim: SimulatorProcess) -> None:
    """Two hundred a second, to both processes, under load: a picture a second is shown, and all is stored."""
    recorder = bench.record(sim, *SYMBOLS)
    recorder.wait_for("backfill_done")
    until(lambda: bool(recorder.state().get("writer", {}).get("rows")), "the writer is ready for signals")
    writers = recorder.writer_pids()
    for _ in range(SIGNALS):
        for pid in (recorder.pid, *writers):
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.005)
    until(lambda: recorder.log_path.read_text().count("most recent call first") >= 10, "both show their stacks")
    shown = recorder.log_path.read_text().count("Current thread")
    assert shown < SIGNALS / 10
    assert recorder.writer_pids() == writers, "neither was killed"
    assert not recorder.log_lines("writer_ended")
    settle(sim, recorder)


def test_a_standard_error_that_nobody_reads_holds_nothing_up(
    sim: SimulatorProcess, tmp_path: Path, full_pipe: int
) -> None:
    """Neither its lines nor its stacks, which somebody asks for: the loop runs, and all is stored."""
    port = free_port()
    recorder = RecorderProcess(tmp_path, sim.port, SYMBOLS, METRICS_PORT=port)
    try:
        recorder.start(full_pipe)
        wait_for_health(port, 200, "ok")
        for _ in range(3):
            recorder.signal(signal.SIGUSR1)
            for pid in recorder.writer_pids():
                os.kill(pid, signal.SIGUSR1)
            time.sleep(1.5)
        before = recorder.state()["at_ms"]
        rows = len(recorder.rows())
        until(lambda: recorder.state()["at_ms"] > before, "its loop runs")
        until(lambda: len(recorder.rows()) > rows, "it stores")
        wait_for_health(port, 200, "ok")
        settle(sim, recorder)
    finally:
        recorder.end()


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"], ids=["in and out", "error", "all three"])
def test_standard_files_that_are_closed_harm_nothing(sim: SimulatorProcess, tmp_path: Path, closed: str) -> None:
    """Whoever starts it may have closed them: what it opens next must not take their place."""
    recorder = RecorderProcess(tmp_path, sim.port, SYMBOLS)
    recorder.wrapper = ("sh", "-c", f'exec "$@" {closed}', "sh")
    with recorder:
        until(lambda: bool(recorder.state().get("writer", {}).get("rows")), "ticks are stored")
        assert recorder.state()["writer"]["recoveries"] == 0
        settle(sim, recorder)

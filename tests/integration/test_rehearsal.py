"""A simulated day and a recorder that goes by its clock: real processes, started as `simulate` says."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.recorder_process import CLI, RecorderProcess, until
from support.simulator_process import SimulatorProcess

from hk_tick_collector.hktime import hk_text
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

DATE, DAY = "2026-11-20", "20261120"
SYMBOLS = "HK.00700,HK.09988,HK.03690"
PROGRAM = "hk-tick-collector "


class Rehearser(RecorderProcess):
    """A recorder that was started with the line that the simulator gives."""

    def __init__(self, directory: Path, sim: SimulatorProcess) -> None:
        super().__init__(directory, 1, [], name="rehearsal")  # port 1: whatever OpenD is set, it is not used
        (line,) = pasted(sim)
        assert line[0] == "run"
        self._env = {name: value for name, value in self._env.items() if name not in {"FUTU_SYMBOLS", "DATA_ROOT"}}
        self.command = (*CLI, *line)


def pasted(sim: SimulatorProcess) -> list[list[str]]:
    """The commands that it has given so far, without the program's name."""
    lines = [line.strip() for line in sim.stderr_path.read_text().splitlines()]
    return [shlex.split(line.removeprefix(PROGRAM)) for line in lines if line.startswith(PROGRAM)]


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, as its user runs it."""
    return subprocess.run(
        [*CLI, *words], cwd=directory, capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "80"}
    )


def simulator(directory: Path, *options: str) -> SimulatorProcess:
    """A Friday, in half a minute."""
    day = ("--date", DATE, "--speed", "1200", "--ticks-per-day", "15000", "--skip-lunch")
    return SimulatorProcess(directory, *day, "--symbols", SYMBOLS, *options)


def test_a_day_that_is_rehearsed_as_told_is_complete_and_ends(tmp_path: Path) -> None:
    """The lines that `simulate` prints record, audit, seal and compare a day that looks like one; all end well."""
    with simulator(tmp_path) as sim, Rehearser(tmp_path, sim) as recorder:
        recorder.wait_for("backfill_done")
        recorder.wait_for("persist_ticks")
        lags = [int(line.fields["lag_ms"]) for line in recorder.log_lines("persist_ticks")]
        assert all(0 <= lag_ms < 60_000 for lag_ms in lags), lags  # real ms: on the day's clock, 1,200 times that
        looked = json.loads(run(tmp_path, "status", "--data-root", "rehearsal", "--json").stdout)
        assert looked["recorder"]["state_age_sec"] < 30  # the same; a recorder that reports is never said to hang
        assert "hangs" not in looked["answers"]["records"]
        assert sim.wait(120) == 0
        assert recorder.stop() == 0
        assert recorder.log_lines("clock_stepped") == []
    assert [path.name for path in recorder.data_root.glob("*.db")] == [f"{DAY}.db"]
    assert "The simulated day is over, at 16:" in sim.stderr_path.read_text()
    _, audit, seal, verdict = pasted(sim)
    told = run(tmp_path, *audit, "--json")
    assert told.returncode == 0, told.stdout
    check_day(json.loads(told.stdout))
    assert run(tmp_path, *verdict).returncode == 0
    sealed = run(tmp_path, *seal)
    assert sealed.returncode == 0, sealed.stderr
    assert "COMPLETE" in sealed.stdout
    received = recorder.query("SELECT min(recv_ts_ms), max(recv_ts_ms), max(recv_ts_ms - ts_ms) FROM ticks")
    ((first_ms, last_ms, late_ms),) = received
    assert hk_text(first_ms)[:13] == f"{DATE} 09"
    assert hk_text(last_ms)[:13] == f"{DATE} 16"
    assert 0 <= late_ms < 3 * 3_600_000  # nine seconds of real time, on a slow machine


def check_day(audit: dict[str, Any]) -> None:
    """It has the sessions of a day, and no interruption but that before its recorder was there."""
    assert audit["verdict"] == "COMPLETE"
    assert [session["name"] for session in audit["sessions"]] == [
        "pre-opening", "morning", "afternoon", "closing auction",
    ]  # fmt: skip
    assert [outage["cause"] for outage in audit["outages"]] == ["recorder_down"]
    assert hk_text(audit["outages"][0]["resumed_ms"])[:16] == f"{DATE} 09:00"
    for symbol in audit["symbols"]:
        assert set(symbol["sessions"]) == {"pre-opening", "morning", "afternoon", "closing auction"}
        assert symbol["gaps"] == []


def test_a_recorder_without_the_switch_says_what_is_wrong(tmp_path: Path) -> None:
    """One line: how far the clocks are apart, and how to rehearse."""
    with (
        SimulatorProcess(tmp_path, "--date", DATE, "--symbols", SYMBOLS) as sim,
        RecorderProcess(tmp_path, sim.port, SYMBOLS.split(",")) as recorder,
    ):
        (line,) = recorder.wait_for("clocks_apart")
        assert "of OpenD's, expected at most 120 s" in line.fields["reason"]
        assert "start `run` with --rehearse and the clock file it names" in line.fields["cure"]
        recorder.wait_for("backfill_done")
        assert len(recorder.log_lines("clocks_apart")) == 1
        assert recorder.stop() == 0


def test_a_rehearsal_takes_nothing_from_another_opend_on_its_port(tmp_path: Path) -> None:
    """One that was started once the simulator had ended: it is asked for its time, and for nothing else."""
    with SimulatorProcess(tmp_path, "--date", DATE, "--symbols", SYMBOLS) as sim, Rehearser(tmp_path, sim) as recorder:
        recorder.wait_for("backfill_done")
        sim.stop()
        before = recorder.stored()
        options = ("--now", "--rate", "200", "--symbols", SYMBOLS, "--port", str(sim.port))
        with SimulatorProcess(tmp_path, *options, name="other") as other:
            refused = "this is not the OpenD of the rehearsed day: "
            until(lambda: refused in recorder.log_path.read_text(), "it has seen that")
            assert other.stats()["made"] > 0
            assert other.stats()["pushed"] == 0
        assert recorder.stop() == 0
        assert recorder.stored() == before


def test_what_can_t_be_rehearsed_is_refused_in_one_line(tmp_path: Path) -> None:
    """No clock; a DATA_ROOT with real days; and a rehearsal's DATA_ROOT without the switch."""
    refused = run(tmp_path, "run", "--rehearse", "absent.json")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "can't read the rehearsal's clock absent.json: No such file or directory" in refused.stderr
    real = tmp_path / "real"
    real.mkdir()
    (real / "20261119.db").touch()
    with SimulatorProcess(tmp_path, "--date", DATE, "--symbols", SYMBOLS) as sim:
        clock = pasted(sim)[0][2]
        refused = run(tmp_path, "run", "--rehearse", clock, "--data-root", "real")
        assert refused.returncode == 2
        assert "has recorded days, and a rehearsal must not be mixed with them" in refused.stderr
        recorder = Rehearser(tmp_path, sim)
        with recorder:
            recorder.wait_for("backfill_done")
            assert recorder.stop() == 0
    refused = run(tmp_path, "run", "--symbols", "HK.00700", "--data-root", "rehearsal")
    assert refused.returncode == 2
    assert "is a rehearsal's (rehearsal.json is in it)" in refused.stderr


def test_a_simulator_of_many_symbols_is_judged_by_those_that_were_recorded(tmp_path: Path) -> None:
    """Two of fifty: the verdict counts the two."""
    with (
        SimulatorProcess(tmp_path, "--now", "--rate", "300", "--symbols", "50", "--hold") as sim,
        RecorderProcess(tmp_path, sim.port, SYMBOLS.split(",")[:2]) as recorder,
    ):
        recorder.wait_for("backfill_done")
        sim.wait_for(lambda stats: stats["made"] > 600)
        sim.command("pause")
        of_both = {key for key in sim.ledger().ticks if key[0] in SYMBOLS.split(",")[:2]}
        until(lambda: recorder.stored() == of_both, "both symbols' ticks are stored")
        assert recorder.stop() == 0
        made = sim.command("stop")["made"]
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert verdict.ok, verdict
    assert 0 < verdict.sent == len(of_both) < made
    assert verdict.not_subscribed == made - verdict.sent

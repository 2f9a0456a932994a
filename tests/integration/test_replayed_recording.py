"""A recording played again: the simulator fed from a journal, the recorder behind it, real processes and TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess

from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = (
    "SELECT symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks ORDER BY symbol, seq"
)


def test_a_recording_that_is_played_again_gives_the_same_rows(tmp_path: Path) -> None:
    """What was recorded of the replay is, to the last bit, what was recorded the first time."""
    symbols = universe(3, 0)
    with (
        SimulatorProcess(tmp_path, "--now", "--hold", "--rate", "300", "--symbols", "3", name="first") as sim,
        RecorderProcess(tmp_path, sim.port, symbols, name="recorded") as recorded,
    ):
        recorded.wait_for("backfill_done")
        sim.wait_for(lambda stats: stats["made"] > 300)
        sim.command("pause")
        recorded.wait_until_stored(sim)
        assert recorded.stop() == 0
    journal = recorded.data_root / DIRECTORY
    options = ("--journal", str(journal), "--speed", "5", "--hold")
    with (
        SimulatorProcess(tmp_path, *options, name="again") as sim,
        RecorderProcess(tmp_path, sim.port, symbols, name="replayed") as replayed,
    ):
        told = sim.try_command("burst", ticks=5)
        assert not told["ok"]
        assert told["error"].startswith("a replayed journal makes no ticks of its own (5 at ")
        sim.wait_for(lambda stats: stats["done"])
        replayed.wait_until_stored(sim)
        assert replayed.stop() == 0
    assert compare(sim.ledger_path, replayed.data_root).ok
    again = replayed.query(CONTENT)
    assert len(again) > 300
    assert again == recorded.query(CONTENT)


def test_a_directory_without_a_journal_is_one_line(tmp_path: Path) -> None:
    """It says what was expected, and ends with exit code 2."""
    sim = SimulatorProcess(tmp_path, "--journal", str(tmp_path), name="none")
    try:
        sim.start()
    except AssertionError as told:
        assert "exit 2" in str(told)  # noqa: PT017 - the message is the support's own
        assert f"no journal in {tmp_path}" in str(told)  # noqa: PT017
    else:
        sim.stop()
        raise AssertionError("it started without a journal")

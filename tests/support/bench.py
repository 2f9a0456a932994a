"""A bench for fault tests: simulators and recorders as real processes, and the comparison that ends every test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import compare
from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key
    from hk_tick_collector.simulator.verdict import Verdict


class Bench:
    """Starts simulators and recorders, and judges."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[SimulatorProcess | RecorderProcess] = []

    def simulate(self, *options: str, symbols: int = 5, rate: float = 300.0) -> SimulatorProcess:
        """Start a simulator of a stream by the wall clock, which waits for the first subscription."""
        sim = SimulatorProcess(
            self.directory,
            *("--now", "--hold", "--rate", str(rate), "--symbols", str(symbols), *options),
            name=f"sim{len(self._processes)}",
        )
        self._processes.append(sim)
        return sim.start()

    def simulate_day(self, *options: str, symbols: int = 5) -> SimulatorProcess:
        """Start a simulator of a Hong Kong day; `options` tell which, from when, and how fast."""
        sim = SimulatorProcess(
            self.directory, *options, *("--symbols", str(symbols)), name=f"sim{len(self._processes)}"
        )
        self._processes.append(sim)
        return sim.start()

    def record(self, sim: SimulatorProcess | int, *symbols: str, count: int = 5, **settings: object) -> RecorderProcess:
        """Start a recorder of these symbols, or of the `count` busiest; `sim` may be a port where there is none yet."""
        recorder = RecorderProcess(
            self.directory,
            sim if isinstance(sim, int) else sim.port,
            symbols or universe(count, 0),
            name=f"recorder{len(self._processes)}",
            **settings,
        )
        self._processes.append(recorder)
        return recorder.start()

    def settle(self, sim: SimulatorProcess, recorder: RecorderProcess, lost: Iterable[Key] = ()) -> Verdict:
        """Make no more ticks, wait until all are stored (but for the lost), stop the recorder cleanly, and compare."""
        sim.command("pause")
        recorder.wait_until_stored(sim, lost=lost)
        assert recorder.stop() == 0
        assert not recorder.log_lines("fatal")
        sim.command("sync")
        return compare(sim.ledger_path, recorder.data_root)

    def settle_whole(self, sim: SimulatorProcess, recorder: RecorderProcess) -> Verdict:
        """The same, and assert that sent is stored: nothing missing, duplicated, wrong or unknown."""
        verdict = self.settle(sim, recorder)
        assert verdict.ok, verdict
        assert verdict.stored == verdict.sent > 0, verdict
        return verdict

    def end(self) -> None:
        """End every process."""
        for process in reversed(self._processes):
            if isinstance(process, RecorderProcess):
                process.end()
            else:
                process.stop()


def faults_of(sim: SimulatorProcess, fault: str) -> list[dict[str, Any]]:
    """The ledger's lines of a fault."""
    return [line for line in sim.ledger().faults if line["fault"] == fault]

"""What the measurements share: processes, the simulator, and looking at both from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import apsw

from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.store.schema import day_files

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Receiver", "Recorder", "SimulatorProcess", "simulator", "wait_until", "write_symbols"]

SYMBOLS = 900
SEED = 7
TICKS_PER_CLOCK = os.sysconf("SC_CLK_TCK")


def write_symbols(directory: Path, count: int = SYMBOLS) -> Path:
    """The simulator's universe as a file for `@file`."""
    path = directory / "symbols.txt"
    path.write_text("\n".join(universe(count, SEED)))
    return path


def simulator(directory: Path, *args: str, name: str = "sim") -> SimulatorProcess:
    """A simulator of 900 symbols with one frame a tick."""
    return SimulatorProcess(
        directory, "--symbols", str(SYMBOLS), "--seed", str(SEED), "--hold", "--quota", "2000", *args, name=name
    )


def wait_until(what: Callable[[], bool], timeout_sec: float, every_sec: float = 0.02) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + timeout_sec
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_sec} s: {what}")
        time.sleep(every_sec)


class Receiver:
    """One of bench.receivers, as a process."""

    def __init__(self, kind: str, port: int, ticks: int, symbols: Path, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.receivers", kind, str(port), str(ticks), str(symbols), str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_ready(self) -> None:
        """Until it has subscribed."""
        self._expect("ready")

    def result(self) -> dict[str, Any]:
        """What it measured."""
        told: dict[str, Any] = json.loads(self._expect("{"))
        self._process.wait(30)
        return told

    def _expect(self, beginning: str) -> str:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith(beginning):  # the SDK prints lines of its own
                return line
        raise RuntimeError(f"the receiver ended with {self._process.wait()}")


class Recorder:
    """The real recorder, as a process."""

    def __init__(self, data_root: Path, port: int, symbols: Path, **settings: str) -> None:
        self.data_root = data_root
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FUTU_", "SQLITE_", "DATA_ROOT"))}
        env |= {
            "FUTU_PORT": str(port),
            "FUTU_SYMBOLS": f"@{symbols}",
            "DATA_ROOT": str(data_root),
            "LOG_LEVEL": "WARNING",
            **settings,
        }
        data_root.mkdir(parents=True)
        self._log = (data_root / "log.txt").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hk_tick_collector.cli.app", "run"], env=env, cwd=data_root, stderr=self._log
        )

    def __enter__(self) -> Self:
        wait_until(lambda: self._state().get("session", {}).get("backfills", 0) > 0, 60)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(90)
        self._log.close()

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.data_root / "recorder.json").read_text())
        except (OSError, ValueError):
            return {}
        return state

    def pids(self) -> list[int]:
        """The recorder and its writer."""
        return [self._process.pid, int(self._state()["writer"]["pid"])]

    def rows(self) -> int:
        """Committed rows, as another process sees them."""
        total = 0
        for path in day_files(self.data_root):
            con = apsw.Connection(f"file:{path}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            con.set_busy_timeout(5000)
            if con.pragma("user_version"):
                total += con.execute("SELECT ifnull(sum(rows), 0) FROM symbol_stats").get
            con.close()
        return total

    def cpu_sec(self) -> float:
        """CPU seconds of both processes so far."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS_PER_CLOCK

    def pss_mb(self) -> float:
        """Memory of both processes, shared pages in proportion, in MB (10^6 bytes)."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total / 1e6
